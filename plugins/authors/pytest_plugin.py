"""``pytest --harness-check PLUGIN``: the rules for plugins as tests, beside those of the plugin's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness_plugins.authors.findings import Check, Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    group = parser.getgroup("harness", "harness plugins")
    group.addoption(
        "--harness-check",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check that a plugin of the harness keeps the rules, as 'harness check PLUGIN' does",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """One test for each rule and plugin."""
    for name in dict.fromkeys(config.getoption("--harness-check")):
        items.extend(_Rules.from_parent(session, name=f"harness-check[{name}]", plugin=name).collect())


class _Rules(pytest.Collector):
    """The rules, asked of one plugin, which is loaded once."""

    def __init__(self, *, plugin: str, **more: Any) -> None:
        super().__init__(**more)
        self._plugin = plugin
        self._subject: Subject | None = None

    def collect(self) -> Iterator[pytest.Item]:
        from harness_plugins.authors.checks import all_checks

        for check in all_checks():
            yield _Rule.from_parent(self, name=check.name, check=check)

    def subject(self) -> Subject:
        from harness_plugins.authors.checks import loaded, subject_of

        if self._subject is None:
            self._subject = subject_of(*loaded(self._plugin))
        return self._subject


class _Broken(Exception):
    """A rule that does not hold."""


class _Rule(pytest.Item):
    """One rule as a test."""

    def __init__(self, *, check: Check, **more: Any) -> None:
        super().__init__(**more)
        self._check = check

    def runtest(self) -> None:
        from harness_plugins.authors.checks import ask

        assert isinstance(self.parent, _Rules)
        outcome = ask(self._check, self.parent.subject())
        if outcome.problems:
            raise _Broken("\n".join(f"{p.found}\n  -> {p.advice}" for p in outcome.problems))
        if outcome.state == "nothing to check":
            pytest.skip("nothing to check")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if type(excinfo.value).__module__.startswith("harness"):
            return f"{self._check.rule}: does not hold\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        return ("harness check", None, f"{self.parent.name if self.parent else ''}: {self._check.rule}")
