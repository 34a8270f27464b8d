"""Load the plugin that is checked, and run the checks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import FileError, UnknownName, UsageError
from harness.files.claims import Check as ClaimCheck
from harness.files.claims import Claim, read_claims
from harness.registry import Registry, load_registry
from harness.registry.importing import import_origin
from harness.running.execute import explain
from harness_plugins.authors.findings import Check, Note, Outcome, Problem, Subject


def all_checks() -> tuple[Check, ...]:
    """Every check, the cheapest first. Imports torch."""
    from harness_plugins.authors import accuracy, behaviour, claimed, declared, edges, registering, running

    rooms = (registering, declared, claimed, behaviour, accuracy, edges, running)
    return tuple(check for room in rooms for check in room.CHECKS)


def load_plugin(plugin: str, extra: Sequence[str] = ()) -> tuple[Registry, str]:
    """Load a registry with the plugin; give it and the plugin's name there.

    ``plugin`` is an installed plugin's name, its module, or a path; the plugins in ``extra`` are loaded before it.
    Raises UsageError with the reason if it cannot be loaded, and UnknownName if there is no such plugin.
    """
    registry = load_registry(extra)
    path = Path(plugin).resolve()
    for name, candidate in registry.plugins.items():
        at_path = candidate.source is not None and path.exists() and candidate.source in (path, path / name)
        if plugin in (name, candidate.origin) or at_path:
            if candidate.broken:
                raise UsageError(f"plugin {name} cannot be used: {candidate.broken}")
            return registry, name
    if "/" not in plugin and not path.exists() and "." not in plugin:
        raise UnknownName("plugin", plugin, registry.plugins)
    # A project's folder stands for the package of the same name inside it.
    package = path / path.name
    is_project = not (path / "__init__.py").exists() and (package / "__init__.py").exists()
    origin = str(package) if is_project else plugin
    registry = load_registry((*extra, origin))
    return registry, next(name for name, candidate in registry.plugins.items() if candidate.origin == origin)


def subject_of(registry: Registry, name: str) -> Subject:
    """A plugin of a registry, with everything it brings and this machine's devices."""
    plugin = registry.plugins[name]

    def names(kind: str) -> tuple[str, ...]:
        return plugin.brings.get(kind, ())

    claims: dict[str, Claim] = {}
    claim_checks: dict[str, ClaimCheck] = {}
    for file in names("claim_files"):
        try:
            content = read_claims(Path(file))
        except FileError:
            continue  # The check "files" reports it.
        claims.update(content.by_id)
        claim_checks.update(content.checks)
    return Subject(
        plugin=plugin,
        registry=registry,
        roles={n: registry.roles[n] for n in names("roles")},
        methods={n: registry.methods[n] for n in names("methods")},
        tasks={n: registry.tasks[n] for n in names("tasks")},
        workloads={n: registry.workloads[n] for n in names("workloads")},
        datasets={n: registry.datasets[n] for n in names("datasets")},
        claims=claims,
        claim_checks=claim_checks,
        claim_files=tuple(Path(file) for file in names("claim_files")),
        suites={n: registry.suites[n] for n in (Path(file).stem for file in names("suite_files"))},
        devices=_devices(),
    )


def run_check(check: Check, subject: Subject) -> Outcome:
    """Run one check. Problems of a method that the plugin excepts, with a reason, become notes."""
    if not check.applies(subject):
        return Outcome(check.name, check.rule, "nothing to check")
    reports: list[Problem | Note] = []
    try:
        with _one_thread():
            reports.extend(check.run(subject))
    except Exception as error:  # noqa: BLE001  a plugin's code may raise anything
        reports.append(Problem(f"the check itself failed: {explain(error)}", "correct what made it fail"))
    exceptions = _exceptions(subject).get(check.name, {})
    used = {r.method for r in reports if isinstance(r, Problem)} & exceptions.keys()
    problems = [r for r in reports if isinstance(r, Problem) and r.method not in exceptions]
    notes = [r.message for r in reports if isinstance(r, Note)]
    notes += [f"{method} is excepted: {reason}" for method, reason in exceptions.items() if method in used]
    for method in exceptions:
        if method in used:
            continue
        message = f"{method} is excepted from {check.name}, but passes it"
        if check.rounding:
            notes.append(f"{message} on this processor")
        else:
            problems.append(Problem(message, "remove it from HARNESS_EXCEPTIONS"))
    return Outcome(check.name, check.rule, "does not hold" if problems else "holds", tuple(problems), tuple(notes))


def run_checks(
    subject: Subject, only: Sequence[str] = (), on_outcome: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Run all checks, or those named in ``only``, on a plugin; call ``on_outcome`` after each."""
    checks = {check.name: check for check in all_checks()}
    for name in only:
        if name not in checks:
            raise UnknownName("check", name, checks)
    outcomes = []
    for name in only or checks:
        outcomes.append(run_check(checks[name], subject))
        on_outcome(outcomes[-1])
    return outcomes


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one thread, as in a suite's workers: sums in one order, no waiting for busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _exceptions(subject: Subject) -> Mapping[str, Mapping[str, str]]:
    """The plugin's ``HARNESS_EXCEPTIONS``: {check: {method: reason}}."""
    exceptions: Mapping[str, Mapping[str, str]] = getattr(
        import_origin(subject.plugin.origin), "HARNESS_EXCEPTIONS", {}
    )
    return exceptions


def _devices() -> tuple[str, ...]:
    import torch

    modules = {kind: getattr(torch, kind, None) for kind in ("cuda", "mps", "xpu")}
    return ("cpu", *(kind for kind, module in modules.items() if module is not None and module.is_available()))
