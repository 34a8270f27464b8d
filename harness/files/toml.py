"""Reading a TOML file into a schema, with errors that say file, key, what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from harness.errors import FileError, suggestion
from harness.files.reading import load_toml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Characters of a wrong value that an error shows.
_SHOWN = 200
#: A TOML value that stays what it was written as: 1 is not true, and "1" is not 1.
StrictScalar = StrictBool | StrictInt | StrictFloat | StrictStr
Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read ``path`` and check it against ``model``. Raises FileError with one sentence for the first mistake."""
    content = load_toml(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise FileError(f"{path}: {explain(error, model, content)}") from None


def _shown(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


#: What is allowed, by pydantic's name of the mistake.
_NEEDED = {
    "bool_type": "true, false",
    "dict_type": "a table",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge}",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "model_type": "a table",
    "string_too_short": "a text of at least {min_length} characters",
    "string_type": "a text in quotes",
    "too_short": "a list of at least {min_length}",
}
#: Parts that pydantic adds to a key's place: the alternatives of a union that it has tried.
_ALTERNATIVE = re.compile(r"bool|int|float|str|(constrained-|list|dict|literal|nullable).*|Range")


def explain(error: ValidationError, model: type[BaseModel], content: Mapping[str, Any]) -> str:
    """The first mistake of a validation error in one sentence, and which other keys are wrong."""
    by_place: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for mistake in error.errors(include_url=False):
        place = _place(mistake["loc"], content)
        by_place.setdefault(place, []).append(mistake)
    # Where a list is allowed beside a single value, its wrong item is the mistake, not that it is no single value.
    places = [p for p in by_place if not any(other != p and other[: len(p)] == p for other in by_place)]
    # An unknown key is usually the cause of "a key is missing" beside it, so it comes first.
    places.sort(key=lambda place: by_place[place][0]["type"] != "extra_forbidden")
    others = ", ".join(_dotted(place, content) for place in places[1:6])
    text = _mistake(places[0], by_place[places[0]], model, content)
    return text + (f" (also wrong: {others})" if others else "")


def _place(location: tuple[int | str, ...], content: Mapping[str, Any]) -> tuple[int | str, ...]:
    """A key's place without the alternatives that pydantic adds; a key may have the name of one."""
    place: list[int | str] = []
    current: Any = content
    for part in location:
        exists = part in current if isinstance(current, dict) else isinstance(part, int)
        if not exists and isinstance(part, str) and _ALTERNATIVE.fullmatch(part):
            continue
        place.append(part)
        if exists and isinstance(current, (dict, list)):
            current = current[part]  # type: ignore[index]
    return tuple(place)


def _mistake(
    place: tuple[int | str, ...], mistakes: list[ErrorDetails], model: type[BaseModel], content: Mapping[str, Any]
) -> str:
    """One sentence on what is wrong at a place, where several alternatives may have been tried."""
    first, key = mistakes[0], _dotted(place, content)
    value = first["input"]
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key {key!r}{suggestion(str(place[-1]), _keys_at(model, place[:-1]))}"
        case "missing":
            return f"key {key!r} is missing"
        case "literal_error" | "union_tag_invalid":
            context = first.get("ctx", {})
            allowed = str(context.get("expected") or context.get("expected_tags"))
            where = f"{key}.kind" if first["type"] == "union_tag_invalid" else key
            value = value.get("kind") if isinstance(value, dict) else value
            names = [n.strip().strip("'\"") for n in allowed.replace(" or ", ",").split(",")]
            return f"{where} = {_shown(value)}: not allowed{suggestion(str(value), names)}"
    if all(mistake["type"] in _NEEDED for mistake in mistakes):
        needed = " or ".join(dict.fromkeys(_NEEDED[m["type"]].format(**m.get("ctx", {})) for m in mistakes))
        return f"{key}{'' if isinstance(value, dict) else f' = {_shown(value)}'}: {needed} is needed"
    messages = [m["msg"].removeprefix("Value error, ").removeprefix("Input ") for m in mistakes]
    equals = "" if isinstance(value, dict) else f" = {_shown(value)}"
    it = "it " if messages[0].startswith("should") else ""
    return f"{key}{equals}: {it}{' or '.join(dict.fromkeys(messages))}"


def _dotted(place: tuple[int | str, ...], content: Mapping[str, Any]) -> str:
    """``("claim", 0, "test")`` as ``claim[0].test``, with the id of what stands there if it has one."""
    text = ""
    current: Any = content
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        try:
            current = current[part]
        except (KeyError, IndexError, TypeError):
            current = None
        if isinstance(part, int) and isinstance(current, dict) and "id" in current:
            text += f" ({current['id']})"
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
