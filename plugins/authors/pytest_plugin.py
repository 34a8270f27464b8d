"""``pytest --harness-check PLUGIN``: the checks of a plugin as tests, beside the plugin's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness_plugins.authors.findings import Check, Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("harness", "harness plugins")
    group.addoption(
        "--harness-check",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="also run the checks of 'harness check PLUGIN', each as a test",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each plugin and check."""
    for name in dict.fromkeys(config.getoption("--harness-check")):
        items.extend(_Checks.from_parent(session, name=f"harness-check[{name}]", plugin=name).collect())


class _Checks(pytest.Collector):
    """The checks of one plugin; it is loaded once."""

    def __init__(self, *, plugin: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._plugin = plugin
        self._subject: Subject | None = None

    def collect(self) -> Iterator[pytest.Item]:
        from harness_plugins.authors.checks import all_checks

        for check in all_checks():
            yield _CheckItem.from_parent(self, name=check.name, check=check)

    def subject(self) -> Subject:
        from harness_plugins.authors.checks import load_plugin, subject_of

        if self._subject is None:
            self._subject = subject_of(*load_plugin(self._plugin))
        return self._subject


class _CheckFailed(Exception):
    """A check found problems."""


class _CheckItem(pytest.Item):
    """One check as a test."""

    def __init__(self, *, check: Check, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._check = check

    def runtest(self) -> None:
        from harness_plugins.authors.checks import run_check

        assert isinstance(self.parent, _Checks)
        outcome = run_check(self._check, self.parent.subject())
        if outcome.problems:
            raise _CheckFailed("\n".join(f"{p.message}\n  -> {p.advice}" for p in outcome.problems))
        if outcome.state == "nothing to check":
            pytest.skip("nothing to check")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if type(excinfo.value).__module__.startswith("harness"):
            return f"{self._check.rule}: does not hold\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        plugin = self.parent.name if self.parent else ""
        return ("harness check", None, f"{plugin}: {self._check.rule}")
