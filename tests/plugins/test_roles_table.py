"""Roles are registered, documented and declared consistently."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from plugin_run import REGISTRY

from harness_plugins.authors.results import problem_of_result
from harness_plugins.authors.role_calls import draw_inputs, role_of
from harness_plugins.authors.role_table import role_table

ROLES_PAGE = Path(__file__).parents[2] / "docs" / "roles.md"
ROLES = tuple(REGISTRY.roles.values())


def test_the_table_in_the_documentation_is_that_of_the_registry():
    page = ROLES_PAGE.read_text("utf-8")
    table = role_table(REGISTRY)
    documented = page.partition("<!-- roles -->\n")[2].partition("\n\n")[0] + "\n"
    assert documented == table, f"replace the table in docs/roles.md by:\n\n{table}"


def test_every_method_and_task_of_ours_has_a_registered_role():
    nouns = (*REGISTRY.methods.values(), *REGISTRY.tasks.values(), *REGISTRY.workloads.values())
    assert {noun.role for noun in nouns} == set(REGISTRY.roles)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_inputs_of_a_role_are_the_same_numbers_in_every_dtype(role):
    exact, rounded = (draw_inputs(role, "cpu", dtype) for dtype in (torch.float64, torch.float32))
    for value, narrow in zip(exact, rounded, strict=True):
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value.float(), narrow.float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("role", [role for role in ROLES if role.any_rows], ids=lambda role: role.name)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_the_inputs_of_a_role_have_as_many_rows_as_asked_for(role, rows):
    assert rows in {len(value) for value in draw_inputs(role, "cpu", rows=rows) if hasattr(value, "__len__")}


def test_the_words_of_returns_accept_what_they_say_and_nothing_else():
    x = torch.zeros(6, 2)
    accepted = {"scalar": torch.tensor(1.0), "like-first": torch.ones(6, 2), "one-per-row": torch.ones(6)}
    others = [*accepted.values(), torch.ones(6, 2, dtype=torch.float64), torch.tensor(1), None, 1.0]
    for word, result in accepted.items():
        role = role_of("contrastive-loss", REGISTRY)
        role = type(role)(name="any", help="", signature="", inputs="", returns=word)
        assert problem_of_result(role, [x], result) == ""
        assert problem_of_result(role, [x], result / 0 * 0) == "returns nan, which is not finite"
        assert all(problem_of_result(role, [x], other) for other in others if other is not result)
