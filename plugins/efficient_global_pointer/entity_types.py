"""The types of entities of each corpus."""

from __future__ import annotations

#: By data set.
TYPES = {
    "cluener": (
        "address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene",
    ),
    "resume": ("CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE"),
    "wnut17": ("corporation", "creative-work", "group", "location", "person", "product"),
    "germeval2014": tuple(f"{kind}{part}" for kind in ("LOC", "ORG", "OTH", "PER") for part in ("", "deriv", "part")),
    "genia": ("DNA", "RNA", "cell_line", "cell_type", "protein"),
}  # fmt: skip
#: Data sets with nested entities.
NESTED = ("germeval2014", "genia")
#: Types in random expressions (``harness_plugins.efficient_global_pointer.expressions``).
EXPRESSION_TYPES = ("call", "group", "product", "sum")
