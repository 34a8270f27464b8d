"""A linear-chain conditional random field: the log partition sum, the best path, and the likelihood of a path."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearChain(nn.Module):
    """Scores of tag sequences (paths): emissions of each token, transitions between neighbours, first and last tag.

    All methods take emissions [B, L, K] and a mask bool [B, L] that begins with True and has no gaps; tokens past it do
    not count. For a text whose mask is all False the results are meaningless.
    Lafferty, McCallum and Pereira 2001. Parameters start at zero, so all paths are equally likely.

    >>> chain = LinearChain(2)
    >>> chain.log_partition(torch.zeros(1, 3, 2), torch.ones(1, 3, dtype=torch.bool))  # eight paths
    tensor([2.0794], grad_fn=<LogsumexpBackward0>)
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(tags))
        self.last = nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Log of the sum of e^score over all paths, [B]."""
        forward = self.first + emissions[:, 0]
        for step in range(1, emissions.shape[1]):
            onward = torch.logsumexp(forward[:, :, None] + self.transitions, dim=1) + emissions[:, step]
            forward = torch.where(mask[:, step, None], onward, forward)
        return torch.logsumexp(forward + self.last, dim=-1)

    def score(self, emissions: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """Score of the paths ``tags`` int64 [B, L], [B]."""
        emission = emissions.gather(-1, tags[..., None]).squeeze(-1)
        transition = self.transitions[tags[:, :-1], tags[:, 1:]]
        # A text without a token would have its last one at -1, outside the row.
        final = tags.gather(1, (mask.sum(dim=1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        inner = (emission * mask).sum(dim=1) + (transition * mask[:, 1:]).sum(dim=1)
        return self.first[tags[:, 0]] + inner + self.last[final]

    def negative_log_likelihood(self, emissions: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """-log p(tags | emissions) of each text, [B] in nats."""
        return self.log_partition(emissions, mask) - self.score(emissions, mask, tags)

    @torch.no_grad()
    def best_path(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The path of the highest score (Viterbi), int64 [B, L]; 0 past the mask."""
        best = self.first + emissions[:, 0]
        stay = torch.arange(best.shape[1], device=best.device)[None].expand_as(best)
        origins = []
        for step in range(1, emissions.shape[1]):
            onward, origin = (best[:, :, None] + self.transitions).max(dim=1)
            is_token = mask[:, step, None]
            best = torch.where(is_token, onward + emissions[:, step], best)
            origins.append(torch.where(is_token, origin, stay))
        tag = (best + self.last).argmax(dim=-1, keepdim=True)
        path = [tag]
        for origin in reversed(origins):
            tag = origin.gather(1, tag)
            path.append(tag)
        return torch.cat(path[::-1], dim=1) * mask
