"""Encoders from Hugging Face: a folder of the user's, or a model in the local cache. Nothing is downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CannotRunHere, UsageError
from harness_plugins.encoders.tokens import Span, Tokens

WEIGHTS = "model.safetensors"


def model_folder(paths: Mapping[str, Path]) -> dict[str, str]:
    """Load a model that is a data set: ``make_encoder("hf:" + model_folder(paths)["folder"], ...)``."""
    return {"folder": str(paths[WEIGHTS].parent)}


def encoder_name(encoder: str, model: str) -> str:
    """The name of the encoder that the options ``encoder`` and ``model`` choose.

    >>> encoder_name("hf", "bert/model.safetensors")
    'hf:bert'
    """
    if encoder == "hf":
        if Path(model).name != WEIGHTS:
            raise UsageError(f"encoder = hf needs model = FOLDER/{WEIGHTS}, found model = {model!r}")
        return f"hf:{Path(model).parent}"
    if model:
        raise UsageError(f"model = {model!r} needs encoder = hf, found encoder = {encoder!r}")
    name = encoder.removeprefix("hf:")
    if name != encoder and (Path(name).exists() or name.startswith((".", "/", "~"))):
        raise UsageError(
            f"encoder = {encoder}: a folder's weights must be part of the cell's key; "
            f"write encoder = hf, model = {Path(name) / WEIGHTS}"
        )
    return encoder


class HuggingFaceEncoder(nn.Module):
    """The last hidden states of a model from a folder or from Hugging Face's cache.

    ``name`` is a folder, or a model's name with an optional ``@REVISION``. Only safetensors are read, as other weight
    files are unpickled; code that comes with a model is not run. Raises, in one sentence, CannotRunHere if
    transformers or the model is missing, and UsageError if a folder holds no model.
    """

    def __init__(self, name: str, *, max_length: int) -> None:
        super().__init__()
        self._model, self._tokenizer = _load(name)
        self.dimension = int(self._model.config.hidden_size)
        longest = getattr(self._model.config, "max_position_embeddings", max_length)
        if max_length > longest:
            raise UsageError(f"max_length = {max_length}: hf:{name} reads at most {longest} tokens")
        self.max_length = max_length

    def tokens(self, first: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """Tokens of the texts, or of pairs of texts in one input, with the model's own special tokens."""
        encoding = self._tokenizer(
            list(first),
            None if second is None else list(second),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        mask = encoding["attention_mask"].bool()
        segments = torch.zeros_like(encoding["input_ids"])
        spans: list[list[Span]] = []
        for row in range(len(mask)):
            row_spans: list[Span] = []
            segment = 0
            is_token = mask[row].tolist()
            # A special token belongs to no text (None): it gets an empty span in the text before it.
            for place, (text, (start, end)) in enumerate(
                zip(encoding.sequence_ids(row), encoding["offset_mapping"][row].tolist(), strict=True)
            ):
                if not is_token[place]:
                    continue
                segment = segment if text is None else text
                segments[row, place] = segment
                row_spans.append((segment, 0, 0) if text is None else (segment, start, end))
            spans.append(row_spans)
        return Tokens(encoding["input_ids"], mask, segments, spans).to(self._model.device)

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
        safetensors_error: Any = importlib.import_module("safetensors").SafetensorError
    except ImportError:
        raise CannotRunHere(f"encoder hf:{name} needs transformers: pip install 'harness[text]'") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder = Path(name).expanduser()
    source, _, revision = (str(folder), "", "") if folder.is_dir() else name.partition("@")
    if folder.is_dir():
        for file in ("config.json", WEIGHTS):
            if not (folder / file).is_file():
                raise UsageError(f"encoder hf:{name}: {folder / file} is not there; a folder with {file} is needed")
    arguments: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if revision:
        arguments["revision"] = revision
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, use_fast=True, **arguments)
        model = transformers.AutoModel.from_pretrained(source, use_safetensors=True, **arguments)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, safetensors_error) as error:
        kind = UsageError if folder.exists() else CannotRunHere
        raise kind(f"encoder hf:{name}: {_reason(name, folder, error)}") from None
    if not tokenizer.is_fast:
        raise UsageError(f"encoder hf:{name}: a fast tokenizer is needed; this one gives no character offsets")
    return model, tokenizer


def _reason(name: str, folder: Path, error: Exception) -> str:
    """Why a model could not be loaded, in one sentence."""
    if folder.exists():
        return f"{folder} is not a model that can be read: {' '.join(str(error).split())[:300]}"
    command = f"'hf download {name.partition('@')[0]}'"
    return f"no such folder, and not in Hugging Face's cache as safetensors with a tokenizer; {command} fetches it"
