"""Which cells a suite has: every block crossed in the file's order, each cell once, wrong names refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import DatasetMissing, FileError, UnknownName, UsageError
from harness.files.suite import Cross, Suite
from harness.option import Option
from harness.planning.cross import cells_of, option_files
from harness.registry.registry import Names
from harness.spec import Dataset, Method, Metric, Task

OWN = {"rate": 0.1, "size": 1}


def method(name, role="toy", **options):
    return Method(name=name, role=role, build="math:hypot", options=options)


def task(name, **fields):
    fields = {"role": "toy", "options": {"size": 1, "steps": 10}, **fields}
    return Task(name=name, run="math:hypot", metrics={"m": Metric()}, **fields)


METHODS = (method("a"), method("ab", **OWN), method("b", rate=0.5), method("other", role="else"))
TASKS = (task("t"), task("u", options={}))


def registry(methods=METHODS, tasks=TASKS, datasets=()):
    names = {"method": methods, "task": tasks, "data set": datasets}
    by_kind = {kind: Names(kind) for kind in names}
    for kind, items in names.items():
        by_kind[kind].update({item.name: item for item in items})
    return SimpleNamespace(
        methods=by_kind["method"],
        tasks=by_kind["task"],
        datasets=by_kind["data set"],
        code=lambda method, task, options: f"{method} {task} {options.get('rival', '')}",
    )


def cells(*blocks, of=None, **arguments):
    suite = Suite("s", Path("s.toml"), "S", tuple(Cross.model_validate(block) for block in blocks), {})
    return list(cells_of(suite, of or registry(), **arguments))


def refused(kind, message, *blocks, of=None):
    with pytest.raises(kind) as error:
        cells(*blocks, of=of)
    assert message in str(error.value)


BLOCK = {"task": "t", "methods": ["a"]}


def test_blocks_are_crossed_in_the_order_of_the_file():
    block = {
        "task": ["u", "t"],
        "methods": ["b", "a"],
        "seeds": 2,
        "dtype": ["float64", "float32"],
        "options": {"size": [3, 2], "rate": 1},
    }
    planned = cells(block, devices=("cpu", "cuda"))
    expected = [
        (t, m, size, device, dtype, seed)
        for t in ("u", "t")
        for m in ("b", "a")
        for size in ((3, 2) if t == "t" else (None,))
        for device in ("cpu", "cuda")
        for dtype in ("float64", "float32")
        for seed in range(2)
    ]
    assert [(c.task, c.method, c.options.get("size"), c.device, c.dtype, c.seed) for c in planned] == expected
    assert {c.suite for c in planned} == {"s"}
    first = planned[-1]
    assert (first.method, first.options, first.own) == ("a", {"size": 2, "steps": 10}, ())


def test_options_not_named_have_their_defaults_and_whole_numbers_become_floats():
    (own,) = cells({"task": "t", "methods": ["ab"], "options": {"rate": 2}})
    assert own.options == {"rate": 2.0, "size": 1, "steps": 10}
    assert isinstance(own.options["rate"], float)
    assert own.own == ("rate",), "size is the task's as well"
    (cell,) = cells({"task": "u", "methods": ["ab"]})
    assert (cell.options, cell.own) == ({"rate": 0.1, "size": 1}, ("rate", "size"))


def test_cell_of_two_blocks_comes_once_in_the_place_of_the_first():
    first, second = {**BLOCK, "seeds": 2}, {**BLOCK, "methods": ["b", "a", "a"], "seeds": 3}
    planned = cells(first, second)
    assert [(c.method, c.seed) for c in planned] == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("a", 2)]
    assert len({c.id for c in planned}) == len(planned)


@pytest.mark.parametrize(
    ("seeds", "replaced", "expected"),
    [
        (3, None, [0, 1, 2]),
        (3, 5, [0, 1, 2, 3, 4]),
        (3, 1, [0]),
        (1, 5, [0]),
        (2, 5, [0, 1, 2, 3, 4]),
        ([7, 2], 5, [7, 2]),
    ],
)
def test_number_of_seeds_is_replaced_where_a_block_has_more_than_one(seeds, replaced, expected):
    assert [c.seed for c in cells({**BLOCK, "seeds": seeds}, seeds=replaced)] == expected


def test_a_glob_means_the_methods_of_the_role_of_the_task():
    assert [c.method for c in cells({"task": "t", "methods": ["*"]})] == ["a", "ab", "b"]
    assert [c.method for c in cells({"task": "t", "methods": ["[b]", "a?"]})] == ["b", "ab"]
    message = "s.toml: cross[1].methods: unknown method of role toy 'oth*'"
    refused(UnknownName, message, BLOCK, {"task": "t", "methods": ["oth*"]})


@pytest.mark.parametrize(
    ("block", "kind", "message"),
    [
        ({"methods": ["aa"]}, FileError, "s.toml: cross[0].methods: unknown method 'aa'"),
        ({"task": "tt"}, FileError, "s.toml: cross[0].task: unknown task 'tt'"),
        ({"methods": ["other"]}, UsageError, "cross[0].methods: other fills the role else, but t needs toy: a, ab, b"),
        (
            {"options": {"sise": 1}},
            UnknownName,
            "s.toml: cross[0].options: unknown option 'sise'; did you mean 'size'?",
        ),
        ({"options": {"rate": 1}}, UnknownName, "unknown option 'rate'"),
        ({"options": {"size": [1, 2.5]}}, UsageError, "s.toml: cross[0]: option size of t = 2.5: a value of type int"),
        ({"methods": ["a", "b"], "options": {"rate": "x"}}, UsageError, "cross[0]: option rate of b = 'x'"),
    ],
)
def test_wrong_names_and_values_are_refused_before_the_first_cell(block, kind, message):
    refused(kind, message, {**BLOCK, **block})


def test_error_in_a_later_block_comes_before_any_cell():
    suite = Suite("s", Path("s.toml"), "S", tuple(Cross.model_validate({**BLOCK, "task": t}) for t in ("t", "v")), {})
    with pytest.raises(FileError, match=r"cross\[1\]"):
        cells_of(suite, registry())


def test_option_of_task_and_method_is_one_axis_that_must_agree():
    def of(default):
        return registry((method("a", size=default),), (task("t"),))

    message = "s.toml: cross[0]: both t and a have an option size"
    refused(UsageError, f"{message}, of the types int and str; rename one of them", BLOCK, of=of("big"))
    refused(UsageError, f"{message}, with the defaults 1 and 2; give one value under options", BLOCK, of=of(2))
    assert [c.options["size"] for c in cells({**BLOCK, "options": {"size": [5]}}, of=of(2))] == [5]


def test_code_of_a_cell_is_that_of_the_methods_that_its_options_name():
    racing = task("t", options={"rival": Option("", names="method"), "steps": 10})
    planned = cells({**BLOCK, "options": {"rival": ["b", "ab"], "steps": [1, 2]}}, of=registry(tasks=(racing,)))
    assert [c.code for c in planned] == ["a t b", "a t b", "a t ab", "a t ab"]


def test_cell_has_the_digests_of_its_data_sets_and_is_skipped_where_one_is_missing():
    def digest_of(name):
        if name == "gone":
            raise DatasetMissing("data set gone is not on this machine")
        return f"digest of {name}"

    reading = task("t", datasets=("here", "gone", "there"))
    (cell,) = cells(BLOCK, of=registry(tasks=(reading,)), digest_of=digest_of)
    assert cell.data == {"here": "digest of here", "gone": None, "there": "digest of there"}
    assert cell.skip == "data set gone is not on this machine"
    (cell,) = cells(BLOCK, of=registry(tasks=(replace(reading, datasets=("here",)),)), digest_of=digest_of)
    assert (cell.data, cell.skip) == ({"here": "digest of here"}, None)


def test_data_sets_are_looked_up_on_this_machine_once_for_a_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.csv").write_text("1")
    lookups = []
    monkeypatch.setattr("harness.planning.cross.locate", lambda d: lookups.append(d.name) or located(d))
    datasets = [Dataset(name=n, licence="CC0-1.0", load=dict, files={"a.csv": ()}) for n in ("here", "gone")]
    tasks = [task(n, datasets=("here", "gone")) for n in ("t", "u")]
    planned = cells({"task": ["t", "u"], "methods": ["a", "b"]}, of=registry(tasks=tasks, datasets=datasets))
    assert sorted(lookups) == ["gone", "here"]
    assert len({c.data["here"] for c in planned}) == 1
    assert {c.data["gone"] for c in planned} == {None}
    assert all("data set gone is not on this machine" in c.skip for c in planned)


def located(dataset):
    from harness.registry.datasets import locate

    return locate(dataset)


def test_file_that_an_option_names_is_part_of_the_data_of_its_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(b"1")
    reading = task("t", options={"table": Option("", file=True), "size": 1})
    of = registry(tasks=(reading,))
    (named,) = cells({**BLOCK, "options": {"table": "a.csv"}}, of=of)
    assert named.data == {"option table": hashlib.sha256(b"1").hexdigest()[:32]}
    (without,) = cells(BLOCK, of=of)
    assert without.data == {}
    message = "s.toml: cross[0]: option table of t = 'b.csv': there is no such file in the current folder, "
    refused(UsageError, message + str(tmp_path), {**BLOCK, "options": {"table": "b.csv"}}, of=of)
    with pytest.raises(UsageError, match=r"option table of t = 'b\.csv': there is no such file"):
        option_files({"table": "b.csv"}, reading, METHODS[0])
