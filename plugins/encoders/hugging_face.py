"""Encoders from Hugging Face: a folder of the user's, or a model that is in the cache. Nothing is downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CannotRunHere, UsageError
from harness_plugins.encoders.tokens import Span, Tokens

WEIGHTS = "model.safetensors"


def chosen(encoder: str, model: str) -> str:
    """The encoder's name where the options ``encoder`` and ``model`` are these.

    >>> chosen("hf", "bert/model.safetensors")
    'hf:bert'
    """
    if encoder == "hf":
        if Path(model).name != WEIGHTS:
            raise UsageError(f"encoder = hf needs model = FOLDER/{WEIGHTS}, found model = {model!r}")
        return f"hf:{Path(model).parent}"
    if model:
        raise UsageError(f"model = {model!r} is read with encoder = hf alone, found encoder = {encoder!r}")
    name = encoder.removeprefix("hf:")
    if name != encoder and (Path(name).exists() or name.startswith((".", "/", "~"))):
        raise UsageError(
            f"encoder = {encoder}: a folder's weights must be part of the cell's key; "
            f"write encoder = hf, model = {Path(name) / WEIGHTS}"
        )
    return encoder


class HuggingFaceEncoder(nn.Module):
    """The hidden states of a model's last layer, read from a folder or from Hugging Face's cache.

    ``name`` is a folder, or a model's name with an optional ``@REVISION``. Weights are read from safetensors alone,
    since other files of weights are unpickled; code that comes with a model is not run. Raises UsageError in one
    sentence where transformers is not installed, the model is not there, or it is none.
    """

    def __init__(self, name: str, *, max_length: int) -> None:
        super().__init__()
        self._model, self._tokenizer = _load(name)
        self.dimension = int(self._model.config.hidden_size)
        most = getattr(self._model.config, "max_position_embeddings", max_length)
        if max_length > most:
            raise UsageError(f"max_length = {max_length}: hf:{name} reads at most {most} tokens")
        self.max_length = max_length

    def tokens(self, first: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """The texts, or pairs of texts in one input each, with the model's own special tokens."""
        read = self._tokenizer(
            list(first),
            None if second is None else list(second),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        mask = read["attention_mask"].bool()
        segments = torch.zeros_like(read["input_ids"])
        spans: list[list[Span]] = []
        for row in range(len(mask)):
            found: list[Span] = []
            segment = 0
            kept = mask[row].tolist()
            for place, (source, (start, end)) in enumerate(
                zip(read.sequence_ids(row), read["offset_mapping"][row].tolist(), strict=True)
            ):
                if not kept[place]:
                    continue
                segment = segment if source is None else source
                segments[row, place] = segment
                found.append((segment, 0, 0) if source is None else (segment, start, end))
            spans.append(found)
        return Tokens(read["input_ids"], mask, segments, spans).to(self._model.device)

    def forward(self, tokens: Tokens) -> Tensor:
        """Hidden states of the last layer [B, L, dimension]."""
        inputs = {"input_ids": tokens.ids, "attention_mask": tokens.mask.long()}
        if getattr(self._model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = tokens.segments
        hidden: Tensor = self._model(**inputs).last_hidden_state
        return hidden


def _load(name: str) -> tuple[Any, Any]:
    """The model and its fast tokenizer."""
    try:
        transformers: Any = importlib.import_module("transformers")
        damaged: Any = importlib.import_module("safetensors").SafetensorError
    except ImportError:
        raise CannotRunHere(f"encoder hf:{name} needs transformers: pip install 'harness[text]'") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder = Path(name).expanduser()
    place, _, revision = (str(folder), "", "") if folder.is_dir() else name.partition("@")
    if folder.is_dir():
        for needed in ("config.json", WEIGHTS):
            if not (folder / needed).is_file():
                raise UsageError(f"encoder hf:{name}: {folder / needed} is not there; a folder with {needed} is needed")
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if revision:
        where["revision"] = revision
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, use_fast=True, **where)
        model = transformers.AutoModel.from_pretrained(place, use_safetensors=True, **where)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, damaged) as error:
        kind = UsageError if folder.exists() else CannotRunHere
        raise kind(f"encoder hf:{name}: {_reason(name, folder, error)}") from None
    if not tokenizer.is_fast:
        raise UsageError(f"encoder hf:{name}: its tokenizer tells no character offsets; a fast one is needed")
    return model, tokenizer


def _reason(name: str, folder: Path, error: Exception) -> str:
    """Why it could not be loaded, in one sentence."""
    if folder.exists():
        return f"{folder} is not a model that can be read: {' '.join(str(error).split())[:300]}"
    fetch = f"'hf download {name.partition('@')[0]}' fetches it"
    return f"no such folder, and not in Hugging Face's cache as safetensors with a tokenizer; {fetch}"
