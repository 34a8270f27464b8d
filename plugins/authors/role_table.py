"""The table of roles in docs/roles.md, generated from what plugins register."""

from __future__ import annotations

from harness.registry import Registry
from harness.spec import Role

#: The result by the word in ``Role.returns``, for signatures that do not state it.
_RESULTS = {"scalar": "scalar", "like-first": "like the first argument", "one-per-row": "one number per row"}


def role_table(registry: Registry) -> str:
    """A Markdown table with a row for each registered role: its calls, what they return, and its plugin."""
    rows = ["| role | for | a built method is called as | returns | plugin |", "|---|---|---|---|---|"]
    for name in sorted(registry.roles):
        role = registry.roles[name]
        calls, results = _calls_and_results(role)
        plugin = registry.owners["role", name]
        cells = (f"`{name}`", role.help, "; ".join(f"`{call}`" for call in calls), "; ".join(results), f"`{plugin}`")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _calls_and_results(role: Role) -> tuple[list[str], list[str]]:
    """Split a signature such as ``e.fit(x); e.log_density(x) -> [N]`` into its calls and their results."""
    calls, results = [], []
    for part in role.signature.split("; "):
        call, arrow, result = part.partition(" -> ")
        calls.append(call)
        if arrow:
            results.append(result)
    return calls, results or [_RESULTS.get(str(role.returns), "")]
