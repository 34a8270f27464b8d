"""Strategies that damage files: JSON by its values, TOML and CSV by their tokens, anything by its bytes."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

#: Values that a file may hold and nobody expects.
ODD: list[Any] = [
    None, True, False, -1, 0, 1, 2**63, -(10**30), 10**400, 1.5, -0.0, 1e308, -1e308, 5e-324, "", "x", "../../outside",
    "/etc/passwd", "[bold]", "[/red]", "\0", "‮", "\n", "\x1b[31m", "🦄", "x" * 3000, [], {}, [[]], [None], {"": {}},
    {"a": None}, [1, 2], {"loss": [[0, 1.5]]}, {"loss": [[0, "x"]]}, {"loss": [[0.5, 1]]}, "nan", "done", "failed",
    "cuda", "float16", "9999-99-99T99:99:99", "0000-00-00T00:00:00+00:00", 99,
]  # fmt: skip
_DEEP = (3, 40, 150, 250)
_VALUES = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(_DEEP).map(lambda depth: json.loads("[" * depth + "]" * depth)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
_KEYS = st.sampled_from(["", "x", "schema", "id", "environment", "curves", "options", "../x", "torch", "version"])
_BYTES = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from([b"\0", b"\n", b"\r", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"}", b"[" * 5000, b"9" * 5000]),
    st.sampled_from([b"1e999", b"NaN", b"-Infinity", b"null", b"\\ud800", b"\\u0000", b',"curves":', b'{"schema":99}']),
)


def _places(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index in nested dicts and lists, by the way to it."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [inner for key, value in items for inner in [(*place, key), *_places(value, (*place, key))]]


@st.composite
def damaged_json(draw: st.DrawFn, text: bytes) -> bytes:
    """JSON with one to four of its values replaced, removed or added."""
    content = copy.deepcopy(json.loads(text))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        places = _places(content)
        if not places:
            break
        # Half of the changes are at the top, where the fields are.
        *way, key = draw(st.sampled_from(places) | st.sampled_from([p for p in places if len(p) == 1]))
        owner = content
        for part in way:
            owner = owner[part]
        change = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if change == "remove":
            del owner[key]
        elif change == "add" and isinstance(owner, dict):
            owner[draw(_KEYS)] = draw(_VALUES)
        else:
            owner[key] = draw(_VALUES)
    compact = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    written = json.dumps(content, ensure_ascii=draw(st.booleans()), separators=compact)
    return written.encode(errors="surrogatepass")


@st.composite
def damaged_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Bytes with one to three stretches replaced, inserted, repeated, or the end cut off."""
    content = bytearray(text)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        end = min(len(content), place + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["replace", "insert", "repeat", "cut"])):
            case "replace":
                content[place:end] = draw(_BYTES)
            case "insert":
                content[place:place] = draw(_BYTES)
            case "repeat":
                content[place:place] = content[place:end] * draw(st.sampled_from([1, 2, 50]))
            case "cut":
                del content[place:]
    return bytes(content)


def damaged_line(line: bytes) -> st.SearchStrategy[bytes]:
    """A line of JSON, damaged one way or the other; it stays one line."""
    return st.one_of(damaged_json(line), damaged_json(line), damaged_bytes(line)).map(
        lambda damaged: damaged.replace(b"\n", b" ")
    )


@st.composite
def damaged_tokens(draw: st.DrawFn, text: str, tokens: list[str], separators: str) -> bytes:
    """Text with one to three of its tokens replaced, or damaged in its bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged_bytes(text.encode()))
    parts = [""]
    for character in text:
        if character in separators:
            parts += [character, ""]
        else:
            parts[-1] += character
    for _ in range(draw(st.integers(1, 3))):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(st.sampled_from(tokens) | st.text(max_size=6))
    return "".join(parts).encode(errors="surrogatepass")


TOML_TOKENS = [
    "", '""', '"x"', '"[/red]"', '"toy/*"', '"*"', '"[a"', '"\\u0000"', "'''x'''", "-1", "0", "1", "3", "5", "1.5",
    "nan", "inf", "-inf", "1e999", "true", "[]", "[[]]", "{}", "{a=1}", "[1, 2]", '["plain", "lifted"]', "1979-05-27",
    f"{2**63}", "9" * 5000, "0x" + "f" * 3000, "[" * 3000, "{a=" * 300, ".".join("a" * 500), "=", "#", "\n", "\0",
    "\ud800", 'kind = "greater"', 'kind = "equal"', 'kind = "ratio"', 'kind = "reaches"', 'kind = "holds"',
    "value = 1.0", "tol = 1e-9", "by = 1e308", "each = true", 'than = "plain"', "where = { slope = [1.0, 9.0] }",
    "where = { slope = nan }", "than_where = { slope = 2.0 }", "gap_than_where = { slope = 1.0 }", "seeds = 3",
    "looks = [3, 4]", "jobs = 0", 'dtype = "float64"', 'device = "cuda"', "primary = true", 'fidelity = "identity"',
    "inherited = true",
]  # fmt: skip
CSV_TOKENS = [
    "", "-", "nan", "0", "-1", "1e308", "-1e308", "1e-320", "1e999", "9" * 5000, "90/80", "90/", "1/2/3", "90;80",
    "91,3", '"', '""', "'", "\n", "\r\n", "\0", "\t", ";", "🦄", "٣", "x" * 200_000, "[/red]", "system", "CoLA", "A",
    "100", "90.5",
]  # fmt: skip
#: Words of a command line. A NUL can be in none.
ARGUMENT_TOKENS = [
    "", "-", "--", "-1", "0", "1", "1.5", "nan", "1e999", "9" * 400, "9" * 5000, "x" * 5000, ".", "..", "/", "*", "[",
    "/dev/null", "/proc/self/mem", "absent", "absent/", "s.toml", "t.csv", "results", "[/red]", "a=b", "seed=0", "=",
    "\n", "\udcff", "🦄", "toy", "toy/*", "--json", "--help", "--results", "--plan", "--seeds", "--only", "--jobs",
    "--device", "--timeout", "--memory", "-p", "-o", "--suite", "--require", "--sample", "--claim", "--of", "methods",
    "claims", "1h", "1e9d", "4G", "1e400G", "cpu", "cuda:0", "cuda:x",
]  # fmt: skip
