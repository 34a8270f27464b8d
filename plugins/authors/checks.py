"""All rules for plugins in order, and asking them of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import FileError, UnknownName, UsageError
from harness.registry import Registry, load_registry
from harness.registry.importing import import_origin
from harness.running.execute import explain
from harness_plugins.authors.findings import Check, Note, Outcome, Problem, Subject


def all_checks() -> tuple[Check, ...]:
    """Every rule, what is cheap to look at first. Imports torch."""
    from harness_plugins.authors import calling, declared, registering, running

    return (*registering.CHECKS, *declared.CHECKS, *calling.CHECKS, *running.CHECKS)


def loaded(plugin: str, extra: Sequence[str] = ()) -> tuple[Registry, str]:
    """A registry with the plugin, and the name it goes by there.

    ``plugin`` is an installed plugin's name, its module, or a path; ``extra`` are others to load before it. Raises
    UsageError with the reason where it cannot be loaded, UnknownName where there is no such plugin.
    """
    registry = load_registry(extra)
    path = Path(plugin).resolve()
    for name, found in registry.plugins.items():
        here = found.source is not None and path.exists() and found.source in (path, path / name)
        if plugin in (name, found.origin) or here:
            if found.broken:
                raise UsageError(f"plugin {name} cannot be used: {found.broken}")
            return registry, name
    if "/" not in plugin and not path.exists() and "." not in plugin:
        raise UnknownName("plugin", plugin, registry.plugins)
    # A project's folder stands for the package of the same name in it.
    inner = path / path.name
    origin = str(inner) if not (path / "__init__.py").exists() and (inner / "__init__.py").exists() else plugin
    registry = load_registry((*extra, origin))
    return registry, next(name for name, found in registry.plugins.items() if found.origin == origin)


def subject_of(registry: Registry, name: str) -> Subject:
    """A plugin of a registry, with what it brings and this machine's devices."""
    from harness.files.claims import read_claims

    plugin = registry.plugins[name]

    def own(kind: str) -> tuple[str, ...]:
        return plugin.brings.get(kind, ())

    claims = {}
    for file in own("claim_files"):
        try:
            claims.update(read_claims(Path(file)))
        except FileError:
            continue  # The check of the files reports it.
    return Subject(
        plugin=plugin,
        registry=registry,
        methods={n: registry.methods[n] for n in own("methods")},
        tasks={n: registry.tasks[n] for n in own("tasks")},
        workloads={n: registry.workloads[n] for n in own("workloads")},
        datasets={n: registry.datasets[n] for n in own("datasets")},
        claims=claims,
        claim_files=tuple(map(Path, own("claim_files"))),
        suites={n: registry.suites[n] for n in (Path(file).stem for file in own("suite_files"))},
        devices=_devices(),
    )


def ask(check: Check, subject: Subject) -> Outcome:
    """What a rule finds in a plugin. What the plugin itself excepts, with a reason, is told as a note."""
    if not check.concerns(subject):
        return Outcome(check.name, check.rule, "nothing to check")
    excepted = _exceptions(subject).get(check.name, {})
    found: list[Problem | Note] = []
    try:
        with _one_thread():
            found.extend(check.look(subject))
    except Exception as error:  # noqa: BLE001  somebody's plugin made the check itself stumble
        found.append(Problem(f"the check could not be ended: {explain(error)}", "correct what it stumbled over"))
    problems = tuple(one for one in found if isinstance(one, Problem) and one.method not in excepted)
    notes = [one.text for one in found if isinstance(one, Note)]
    notes += [f"{m} is excepted: {why}" for m, why in excepted.items() if any(_of(one, m) for one in found)]
    for method in excepted:
        if not any(_of(one, method) for one in found):
            unneeded = f"{method} is excepted from {check.name}, and keeps it"
            if check.rounding:
                notes.append(f"{unneeded} on this processor")
            else:
                problems += (Problem(unneeded, "remove it from HARNESS_EXCEPTIONS"),)
    return Outcome(check.name, check.rule, "does not hold" if problems else "holds", problems, tuple(notes))


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a suite's workers: sums in one order, and no waiting for others' cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _of(found: Problem | Note, method: str) -> bool:
    return isinstance(found, Problem) and found.method == method


def _exceptions(subject: Subject) -> Mapping[str, Mapping[str, str]]:
    """Methods that the plugin's ``HARNESS_EXCEPTIONS`` excepts from checks: {check: {method: why}}."""
    found: Mapping[str, Mapping[str, str]] = getattr(import_origin(subject.plugin.origin), "HARNESS_EXCEPTIONS", {})
    return found


def conformance(
    subject: Subject, only: Sequence[str] = (), told: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Ask the rules, all or those named in ``only``, of a plugin; ``told`` hears of each as it is known."""
    checks = {check.name: check for check in all_checks()}
    for name in only:
        if name not in checks:
            raise UnknownName("check", name, checks)
    outcomes = []
    for name in only or checks:
        outcomes.append(ask(checks[name], subject))
        told(outcomes[-1])
    return outcomes


def _devices() -> tuple[str, ...]:
    import torch

    found = [kind for kind in ("cuda", "mps", "xpu") if (m := getattr(torch, kind, None)) and m.is_available()]
    return ("cpu", *found)
