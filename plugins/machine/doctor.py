"""``harness doctor``: what this machine has, and what on it threatens reproducibility."""

from __future__ import annotations

from collections.abc import Collection

import typer

from harness.cli.arguments import Json, Plugins, registry
from harness.cli.output import people, print_json
from harness.errors import DatasetError, DatasetMissing
from harness.numbers import plural
from harness.registry import Registry
from harness.registry.isolation import call
from harness.spec import Finding


def doctor(context: typer.Context, as_json: Json = False, plugin: Plugins = None) -> None:
    """Describe this machine; name problems and threats to reproducibility."""
    import torch

    from harness.records.provenance import cpu_name, packages, python_line, source_state, usable_cores

    plugins = registry(context, plugin)
    versions = {k: packages().get(k) for k in ("torch", "numpy", "scipy", "mlflow", "pluggy", "pydantic")}
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    problems = _problems(plugins)
    findings = [finding for findings in call(plugins.manager, "harness_doctor") for finding in findings]
    report = {
        "python": python_line(),
        "cpu": f"{cpu_name()}, {plural(usable_cores(), 'usable core')}",
        "cuda": cuda,
        "packages": versions,
        "source": source_state(),
        "plugins": sorted(plugins.plugins),
        "findings": [{"name": f.name, "ok": f.ok, "found": f.message, "advice": f.advice} for f in findings],
        "amiss": problems,
    }
    if as_json:
        print_json(report)
        return
    people().print(f"python    {report['python']}")
    people().print(f"cpu       {report['cpu']}")
    people().print(f"cuda      {', '.join(cuda) or 'none; cells run on the CPU'}")
    people().print(f"packages  {', '.join(f'{k} {v}' for k, v in versions.items() if v)}")
    people().print(f"plugins   {', '.join(plugins.plugins)}")
    _print_findings(findings, problems, _missing(plugins))


def _missing(plugins: Registry) -> set[str]:
    """What is said of each data set that is not here."""
    from harness.registry.datasets import locate

    messages = set()
    for dataset in plugins.datasets.values():
        try:
            locate(dataset)
        except DatasetMissing as error:
            messages.add(str(error))
        except DatasetError:
            pass
    return messages


def _problems(plugins: Registry) -> list[str]:
    """Broken plugins, claim files that cannot be read, data sets that are missing or damaged."""
    from harness.files.claims import claims_of
    from harness.registry.datasets import locate

    problems = [f"plugin {p.name} is broken: {p.broken}" for p in plugins.plugins.values() if p.broken]
    problems += claims_of(plugins).problems
    for dataset in plugins.datasets.values():
        try:
            locate(dataset)
        except DatasetMissing as error:
            problems.append(str(error))
        except DatasetError as error:
            problems.append(f"damaged: {error}")
    return problems


def _print_findings(findings: list[Finding], problems: list[str], missing: Collection[str]) -> None:
    from rich.markup import escape

    ok, warning = "[green]ok[/]       ", "[yellow]warning[/]  "
    # What is wrong comes first, and before all a busy machine: it makes every time on it wrong.
    for finding in sorted(findings, key=lambda finding: (finding.ok, finding.name != "busy machine")):
        message = escape(f"{finding.name}: {finding.message}")
        people().print(f"{ok if finding.ok else warning} {message}", soft_wrap=True)
        if not finding.ok and finding.advice:
            people().print(f"          [dim]to do:[/] {escape(finding.advice)}", soft_wrap=True)
    for problem in [p for p in problems if p not in missing]:
        people().print(f"{warning} {escape(problem)}", soft_wrap=True)
    if missing:
        text = f"{plural(len(missing), 'data set')} not on this machine; 'harness data' lists them and how to get each"
        people().print(f"{warning} {text}", soft_wrap=True)
    if not problems and all(finding.ok for finding in findings):
        people().print("[green]no problems found[/]")
