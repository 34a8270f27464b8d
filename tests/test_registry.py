"""Plugins are loaded one by one; a broken plugin is listed with its reason and does not affect the others."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest

import harness.hookspecs
from harness.errors import UnknownName, UsageError
from harness.files.claims import claims_of
from harness.registry import load_registry
from harness.registry.digests import Sources, closure, code_digest

HEAD = "import harness\nfrom harness import Method, Metric, Task, hookimpl\n"
METHOD = "@hookimpl\ndef harness_methods():\n    return [Method(name='{name}', role='r', build=abs)]\n"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A function that writes a plugin module and returns its path."""

    def write(name: str, text: str) -> str:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(HEAD + text)
        return str(tmp_path / f"{name}.py")

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that writes modules and makes them entry points of installed plugins."""
    import importlib.metadata

    def install(**modules: str) -> None:
        for name, text in modules.items():
            (tmp_path / f"installed_{name}.py").write_text(HEAD + text)
        monkeypatch.syspath_prepend(str(tmp_path))
        entries = [importlib.metadata.EntryPoint(n, f"installed_{n}", "harness.plugins") for n in modules]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)

    yield install
    for name in [n for n in sys.modules if n.startswith("installed_")]:
        del sys.modules[name]


def test_plugin_named_by_path_registers_its_nouns(plugin):
    registry = load_registry([plugin("by_path", METHOD.format(name="m1"))])
    assert registry.methods["m1"].role == "r"
    assert registry.plugins["by_path"].brings == {"methods": ("m1",)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(1)\n", "SystemExit: 1"),
        ("def broken(:\n", "SyntaxError"),
        ("@hookimpl\ndef harness_metods():\n    return []\n", "unknown hook 'harness_metods'; did you mean"),
        ("@hookimpl\ndef harness_methods():\n    return ['m']\n", "harness_methods returned 'm', which is no Method"),
        ("@hookimpl\ndef harness_methods():\n    return 3\n", "returned 3, not a list"),
        ("@hookimpl\ndef harness_methods(nonsense):\n    return []\n", "nonsense"),
        ("@hookimpl\ndef harness_methods():\n    return [Method(name='a b', role='r', build=abs)]\n", "'a b'"),
        ("@hookimpl\ndef harness_tasks():\n    return [Task(name='t', role='r', run=abs, metrics={})]\n", "metrics"),
        (
            METHOD.format(name="twin").replace("[", "[Method(name='twin', role='r', build=abs), "),
            "its method 'twin' is already brought by itself",
        ),
    ],
)
def test_broken_installed_plugin_is_listed_with_its_reason_and_others_work(installed, text, reason):
    installed(bad=text, good=METHOD.format(name="fine"))
    registry = load_registry()
    assert reason in registry.plugins["bad"].broken
    assert registry.plugins["good"].broken is None
    assert set(registry.methods) == {"fine"}
    with pytest.raises(UsageError, match="broken plugins: bad"):
        registry.methods["zzz"]


def test_second_method_of_a_name_is_refused_and_the_first_remains(installed):
    installed(first=METHOD.format(name="same"), second=METHOD.format(name="same") + METHOD.replace("methods", "tasks"))
    registry = load_registry()
    assert registry.owners["method", "same"] == "first"
    assert "its method 'same' is already brought by first" in registry.plugins["second"].broken


def test_broken_plugin_named_by_the_user_is_an_error(plugin):
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        load_registry([plugin("asked_for", "1 / 0\n")])


@pytest.mark.parametrize(
    ("reference", "baseline", "reason"),
    [
        ("quick", "plan", "its workload 'w' has the baseline 'plan', which is no method of the role 'r'; did you mean"),
        ("plain2", "plain", "its method 'quick' has the reference 'plain2', which is no method of the role 'r'; did"),
        ("other", "plain", "its method 'quick' has the reference 'other', which is no method of the role 'r'"),
    ],
)
def test_unknown_reference_or_baseline_breaks_only_its_own_plugin(installed, reference, baseline, reason):
    text = (
        "@hookimpl\ndef harness_methods():\n"
        f"    return [Method(name='quick', role='r', build=abs, reference='{reference}')]\n"
        "@hookimpl\ndef harness_workloads():\n"
        f"    return [harness.Workload(name='w', role='r', sizes={{'n': [1]}}, inputs=abs, call=abs, bytes=abs,\n"
        f"        flops=abs, baseline='{baseline}')]\n"
    )
    others = METHOD.format(name="plain").replace("[", "[Method(name='other', role='s', build=abs), ")
    # The plugin that names a method is loaded before the one that registers it.
    installed(a_user=text, b_brings=others)
    registry = load_registry()
    assert reason in registry.plugins["a_user"].broken
    assert "quick" not in registry.methods and "w" not in registry.workloads
    assert registry.plugins["b_brings"].broken is None


def test_unknown_reference_in_a_plugin_named_by_the_user_is_an_error(plugin):
    text = "@hookimpl\ndef harness_methods():\n    return [Method(name='q', role='r', build=abs, reference='plain')]\n"
    with pytest.raises(UsageError, match="cannot be used: its method 'q' has the reference 'plain'"):
        load_registry([plugin("refers", text)])


def test_reference_may_be_a_method_of_a_plugin_that_is_loaded_later(installed):
    text = "@hookimpl\ndef harness_methods():\n    return [Method(name='q', role='r', build=abs, reference='plain')]\n"
    installed(a_user=text, b_brings=METHOD.format(name="plain"))
    assert load_registry().methods["q"].reference == "plain"


def test_error_about_a_misspelt_name_suggests_the_nearest(plugin):
    registry = load_registry([plugin("speller", METHOD.format(name="cubeplus"))])
    with pytest.raises(UnknownName, match="did you mean 'cubeplus'"):
        registry.methods["cube-plus"]


@pytest.fixture
def package(tmp_path):
    """A function that writes modules of a package and returns the digest of its code ``package.task:run``."""

    def digest(**texts: str) -> str:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / name.replace("__", ".")).write_text(text)
        return code_digest(["package.task:run"], Sources({"package": folder}, frozenset({"package"})))

    return digest


def test_code_digest_depends_on_imported_modules_and_on_nothing_else(package):
    digests = [
        package(task__py="from package import near\nfrom .far import x\n", near__py="", far__py="", other__py=""),
        package(other__py="x = 1\n", __init____py="x = 2\n", claims__toml="x = 1\n", style__css="a {}\n"),
        package(near__py="x = 1\n"),
        package(far__py="def f():\n    import package.deep\n", deep__py=""),
        package(deep__py="x = 1\n"),
        package(task__py="from package import near, far\n# other text of the same code\n"),
    ]
    assert digests[0] == digests[1], "modules that are not imported, hooks, claims and style sheets do not count"
    assert len(set(digests[1:])) == 5


def test_imports_of_a_parent_package_count_unless_it_is_a_plugin(tmp_path):
    for name, text in {"__init__.py": "from lab import tools\n", "tools.py": "", "task.py": "", "hooks.py": ""}.items():
        (tmp_path / name).write_text(text)
    sources = Sources({"lab": tmp_path}, frozenset({"lab.hooks"}))
    assert set(closure(["lab.task:run"], sources)) == {"lab.task", "lab", "lab.tools"}


def test_imports_for_type_checkers_do_not_count(package):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from package import near\n"
    assert package(task__py=text, near__py="") == package(near__py="x = 1\n")


def test_table_that_a_module_names_is_part_of_its_code(package):
    first = package(task__py="from pathlib import Path\nTABLE = Path(__file__).with_name('t.csv')\n", t__csv="1,2\n")
    assert package(u__csv="1\n") == first
    assert package(t__csv="1,3\n") != first


def test_library_counts_by_its_name_and_version(monkeypatch):
    def libraries() -> dict[str, str]:
        return closure(["numpy.linalg:norm", "math:hypot", np.cumsum], Sources({}))

    python = ".".join(map(str, sys.version_info[:2]))
    assert libraries() == {"library numpy": np.__version__, "library python": python}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name} 99")
    assert libraries()["library numpy"] == "numpy 99"


def test_functions_that_a_function_wraps_or_closes_over_count(tmp_path, monkeypatch):
    for name in ("outer_code", "inner_code"):
        (tmp_path / f"{name}.py").write_text("def f(*a): return a\ndef close(g):\n    return lambda: g()\n")
    monkeypatch.syspath_prepend(tmp_path)
    outer, inner = importlib.import_module("outer_code"), importlib.import_module("inner_code")
    sources = Sources({name: tmp_path / f"{name}.py" for name in ("outer_code", "inner_code")})
    for code in (outer.close(inner.f), functools.partial(outer.f, inner.f), functools.wraps(inner.f)(outer.close(1))):
        assert set(closure([code], sources)) == {"outer_code", "inner_code"}


def test_key_of_a_cell_depends_on_all_modules_that_it_uses(installed):
    run = "def run(*_):\n    from installed_shared import part\n    return part\n"
    method = "@hookimpl\ndef harness_methods():\n    return [Method(name='m', role='r', build=run)]\n"
    task = "@hookimpl\ndef harness_tasks():\n    m = {'m': Metric()}\n"
    task += "    return [Task(name='t', role='r', run=run, metrics=m, datasets=('d',))]\n"
    data = "@hookimpl\ndef harness_datasets():\n"
    data += "    return [harness.Dataset(name='d', licence='-', load=run, files={})]\n"
    texts = {
        "method": run + method,
        "task": "def run(*_): pass\n" + task,
        "data": "def run(*_): pass\n" + data,
        "shared": "part = 1\n",
        "unrelated": "x = 1\n",
    }

    def key(**changed: str) -> str:
        for name in [n for n in sys.modules if n.startswith("installed_")]:
            del sys.modules[name]
        installed(**{name: text + changed.get(name, "") for name, text in texts.items()})
        return load_registry().code("m", "t")

    first = key()
    assert key(unrelated="y = 1\n") == first
    for name in ("method", "task", "data", "shared"):
        assert key(**{name: "y = 1\n"}) != first, name


@pytest.mark.parametrize("command", [["--help"], ["list"], ["show", "flatnce"], ["list", "claims", "--json"]])
def test_listing_imports_no_heavy_library(command):
    script = (
        f"import sys\nfrom harness.cli import main\nsys.argv = ['harness', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code, exit.code\n"
        "heavy = {'torch', 'mlflow', 'scipy', 'sklearn', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr


def test_hook_without_its_marker_breaks_the_plugin(installed):
    installed(bad="def harness_methods():\n    return []\n")
    assert "harness_methods is not marked with @harness.hookimpl" in load_registry().plugins["bad"].broken


def test_broken_claims_file_loses_its_own_claims_and_is_reported(plugin, tmp_path):
    (tmp_path / "bad.toml").write_text("[[claim]]\nid = 3\n")
    text = "@hookimpl\ndef harness_claims():\n    return [pathlib.Path(__file__).with_name('bad.toml')]\n"
    registry = load_registry([plugin("bad_claims", "import pathlib\n" + text)])
    claims = claims_of(registry)
    assert "flatnce/fn1-consistently-better" in claims.by_id
    assert "bad.toml" in claims.problems[0]


def test_code_digest_of_a_file_depends_on_the_files_beside_it_that_it_imports(tmp_path):
    (tmp_path / "main.py").write_text("def run():\n    from beside import x\n    return x\n")
    (tmp_path / "beside.py").write_text("import further\nx = 1\n")
    (tmp_path / "further.py").write_text("")
    (tmp_path / "unrelated.py").write_text("")
    digests = set()
    for name in ("main", "beside", "further", "unrelated"):
        with (tmp_path / f"{name}.py").open("a") as stream:
            stream.write("y = 2\n")
        digests.add(code_digest(["main:run"], Sources({"main": tmp_path / "main.py"})))
    assert len(digests) == 3, "each of the three files changes it, the unrelated file does not"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HARNESS_HOOKS = 3\n", "written for version 3 of the hooks, and this harness has 2: install a newer harness"),
        ("HARNESS_HOOKS = 0\n", "written for version 0 of the hooks, and this harness calls 1 at least: install a new"),
        ("HARNESS_HOOKS = '1'\n", "HARNESS_HOOKS = '1' is not a whole number"),
        ("import time\ntime.sleep(60)\n", "importing it timed out after 0.3 s; HARNESS_IMPORT_SECONDS="),
        ("@hookimpl\ndef harness_methods():\n    while True:\n        pass\n", "importing it timed out after 0.3 s"),
        ("import no_such_package.part\n", "it needs the package 'no_such_package', which is not installed"),
        ("import installed_bad.part\n", "a plugin of several files is a folder"),
    ],
)
def test_unusable_plugin_is_listed_with_one_sentence_and_others_work(installed, monkeypatch, text, reason):
    monkeypatch.setenv("HARNESS_IMPORT_SECONDS", "0.3")
    installed(bad=text, good=METHOD.format(name="fine"))
    registry = load_registry()
    assert reason in registry.plugins["bad"].broken
    assert "\n" not in registry.plugins["bad"].broken
    assert set(registry.methods) == {"fine"}


def test_current_version_of_the_hooks_is_accepted(installed):
    installed(stated=f"HARNESS_HOOKS = {harness.hookspecs.HOOKS_VERSION}\n" + METHOD.format(name="fine"))
    assert load_registry().plugins["stated"].broken is None


def test_output_of_a_plugin_at_import_is_suppressed_and_noted(installed, capsys):
    installed(loud="print('hello there')\n" + METHOD.format(name="fine"))
    registry = load_registry()
    assert capsys.readouterr().out == ""
    assert registry.plugins["loud"].note.endswith("'hello there'")
    assert "fine" in registry.methods


def test_second_plugin_of_a_name_is_refused_and_the_first_remains(installed, monkeypatch):
    import importlib.metadata

    installed(first=METHOD.format(name="one"), second=METHOD.format(name="two"))
    entries = [importlib.metadata.EntryPoint("same", f"installed_{n}", "harness.plugins") for n in ("first", "second")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)
    registry = load_registry()
    assert set(registry.methods) == {"one"}
    assert registry.plugins["same"].broken is None
    assert registry.plugins["same (installed_second)"].broken == (
        "another plugin has its name: same from installed_first"
    )


def test_import_limit_that_is_no_number_is_a_usage_error(monkeypatch):
    monkeypatch.setenv("HARNESS_IMPORT_SECONDS", "soon")
    with pytest.raises(UsageError, match="HARNESS_IMPORT_SECONDS=soon: a number of seconds"):
        load_registry()


def test_folder_that_hides_an_installed_plugin_is_reported(installed, tmp_path):
    installed(hidden=METHOD.format(name="fine"))
    (tmp_path / "installed_hidden.py").unlink()
    (tmp_path / "installed_hidden").mkdir()
    assert "installed_hidden hides it; start from another folder" in load_registry().plugins["hidden"].broken
