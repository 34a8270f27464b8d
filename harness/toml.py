"""Reading a TOML file into a schema, with errors that say file, key, what was found and what is allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from harness.errors import FileError, suggestion

#: A TOML value that stays what it was written as: 1 is not true, and "1" is not 1.
StrictScalar = StrictBool | StrictInt | StrictFloat | StrictStr
Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read ``path`` and check it against ``model``. Raises FileError with one sentence for the first mistake."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{path}: not valid TOML: {error}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise FileError(f"{path}: {explain(error, model)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake of a validation error in one sentence, and how many more there are."""
    mistakes = error.errors(include_url=False)
    # An unknown key is usually the cause of "a key is missing" beside it, so it is told first.
    first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    place, found = first["loc"], first["input"]
    key = _dotted(place)
    match first["type"]:
        case "extra_forbidden":
            text = f"unknown key {key!r}{suggestion(str(place[-1]), _keys_at(model, place[:-1]))}"
        case "missing":
            text = f"key {key!r} is missing"
        case "literal_error" | "union_tag_invalid":
            allowed = str(first.get("ctx", {}).get("expected") or first.get("ctx", {}).get("expected_tags"))
            where = f"{key}.kind" if first["type"] == "union_tag_invalid" else key
            found = found.get("kind") if isinstance(found, dict) else found
            names = [n.strip().strip("'\"") for n in allowed.replace(" or ", ",").split(",")]
            text = f"{where} = {found!r}: not allowed{suggestion(str(found), names)}"
        case _:
            message = first["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(found, dict) else f" = {found!r}"
            text = f"{key}{shown}: {message[0].lower()}{message[1:]}"
    more = len(mistakes) - 1
    return text + (f" (and {more} more mistake{'s' * (more > 1)})" if more else "")


def _dotted(place: tuple[int | str, ...]) -> str:
    """``("cross", 0, "task")`` as ``cross[0].task``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema allows at a place in the file; a union's members are told apart by their tag."""
    current: list[Any] = [model]
    for part in place:
        if isinstance(part, int):
            continue
        following: list[Any] = []
        for one in current:
            if part in one.model_fields:
                following += _models(one.model_fields[part].annotation)
            elif any(part in get_args(f.annotation) for f in one.model_fields.values()):
                following.append(one)
        current = following
    return sorted({name for one in current for name in one.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in get_args(annotation) for m in _models(inner)]
