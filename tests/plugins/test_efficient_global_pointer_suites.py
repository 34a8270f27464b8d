"""The suites of this plugin: every claim finds its cells, and every planned cell decides a claim."""

from __future__ import annotations

import pytest
from plugin_run import REGISTRY

from harness.errors import UsageError
from harness.files.claims import claims_of
from harness.files.suite import read_suite
from harness.judge.pairing import needed_cells
from harness.planning.cross import cells_of
from harness_plugins.efficient_global_pointer.corpus import Entity
from harness_plugins.efficient_global_pointer.entity_scores import by_nesting

NAMES = ("ner", "ner-full")


def planned(name):
    suite = read_suite(str(name), REGISTRY)
    return suite, list(cells_of(suite, REGISTRY, digest_of=lambda dataset: dataset))


def test_every_cell_of_the_long_suite_decides_a_claim():
    suite, cells = planned("ner-full")
    needed = set().union(*(needed_cells(claim, cells) for claim in suite.claims.values()))
    assert not [cell for cell in cells if cell.id not in needed]


@pytest.mark.parametrize("name", NAMES)
def test_suites_name_their_methods_so_that_other_plugins_add_none(name):
    suite, _ = planned(name)
    assert not [method for cross in suite.cross for method in cross.methods if not method.replace("-", "").isalnum()]


def test_claims_on_rounding_stand_on_several_drawn_samples():
    for name in NAMES:
        suite, cells = planned(name)
        claims = [claim for claim in suite.claims.values() if claim.test and claim.test.task == "ner/sparse-gap"]
        assert claims
        for claim in claims:
            needed = needed_cells(claim, cells)
            assert claim.without_chance
            assert {cell.seed for cell in cells if cell.id in needed} == {0, 1, 2, 3, 4}


def test_no_claim_compares_with_a_taggers_nested_precision():
    # Predictions that never overlap never nest.
    scores = by_nesting([{Entity(0, 9, "a"), Entity(2, 3, "b")}], [{Entity(0, 9, "a")}])
    assert (scores["nested_recall"], scores["nested_precision"], scores["nested_f1"]) == (0.5, 0, 0)
    registered = claims_of(REGISTRY)
    for claim in (*registered.by_id.values(), *registered.checks.values()):
        if claim.test and {"crf-bio", "softmax-bio"} & {*claim.test.names}:
            assert claim.test.metric not in ("nested_f1", "nested_precision")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size = 7", r"option size of global-pointer '7'. Known: .*64"),
        ('kinds = "ten"', "option kinds of ner/parameter-counts = 'ten': a value of type int is needed"),
        ("kinds = 0", "option kinds of ner/parameter-counts = 0: at least 1 is needed"),
        ("relations = -1", "option relations of ner/parameter-counts = -1: at least 0 is needed"),
    ],
)
def test_option_with_a_wrong_value_is_refused_before_anything_runs(options, message, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(
        'title = "wrong"\nclaims = []\n[[cross]]\ntask = "ner/parameter-counts"\n'
        f'methods = ["global-pointer"]\noptions = {{ {options} }}\n'
    )
    with pytest.raises(UsageError, match=message):
        planned(path)
