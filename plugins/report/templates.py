"""Fill the HTML templates of this folder, and write a page to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.errors import UsageError

_HERE = Path(__file__).parent


def fill(template: str, shown: Callable[[object], object] | None = None, **content: Any) -> str:
    """A template with its content; all text is escaped that is not Markup already. ``shown`` rewrites each value."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    css = Markup((_HERE / "report.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(css=css, **content)


def write(page: str, target: Path) -> None:
    """Write the page whole or not at all. Raises UsageError where the file cannot be written."""
    draft = target.with_name(f".{target.name}.part")
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise UsageError(f"-o {target}: cannot be written: {error.strerror}") from None
