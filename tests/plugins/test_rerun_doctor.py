"""What ``harness doctor`` says of a machine: it finds each planted threat and gives advice."""

from __future__ import annotations

import pytest

from harness_plugins.rerun import threats


@pytest.mark.parametrize(
    "bad",
    [
        threats.denormals(0.0),
        threats.precision({"NVIDIA_TF32_OVERRIDE": "1"}),
        threats.precision({"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}),
        threats.threads({}, 8),
        threats.threads({"OMP_NUM_THREADS": "4"}, 8),
        threats.load(3.0, 4),
        threats.gpu("A GPU, 97 %, 0x0000000000000000"),
        threats.gpu("A GPU, 0 %, 0x0000000000000040"),
    ],
)
def test_a_planted_threat_is_found_and_comes_with_advice(bad):
    assert not bad.ok
    assert bad.message
    assert bad.advice


@pytest.mark.parametrize(
    "good",
    [
        threats.denormals(5e-324),
        threats.precision({"NVIDIA_TF32_OVERRIDE": "0"}),
        threats.precision({}),
        threats.threads({"OMP_NUM_THREADS": "1"}, 8),
        threats.threads({}, 1),
        threats.load(0.1, 4),
        threats.gpu("A GPU, 0 %, 0x0000000000000001"),
        threats.gpu("A GPU, [N/A], Not Active"),
    ],
)
def test_a_machine_without_the_threat_is_ok(good):
    assert good.ok
    assert good.message


def test_flushed_denormals_are_measured():
    import torch

    assert threats.findings()[0].ok
    if torch.set_flush_denormal(True):
        try:
            assert not threats.findings()[0].ok
        finally:
            torch.set_flush_denormal(False)


def test_kernels_that_give_other_bits_are_found(monkeypatch):
    import torch

    assert threats.same_bits_twice().ok
    calls = iter(range(10))
    monkeypatch.setattr(threats, "_gradients", lambda device: [torch.tensor(float(next(calls)), device=device)])
    assert not threats.same_bits_twice().ok


@pytest.mark.parametrize(
    ("governor", "boost", "ok"), [("performance", "0", True), ("performance", "1", False), ("powersave", "0", False)]
)
def test_the_clock_is_read_from_the_system(tmp_path, governor, boost, ok):
    for cpu in ("cpu0", "cpu1"):
        (tmp_path / cpu / "cpufreq").mkdir(parents=True)
        (tmp_path / cpu / "cpufreq" / "scaling_governor").write_text(governor + "\n")
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq" / "boost").write_text(boost + "\n")
    assert threats.frequency(tmp_path).ok is ok
    assert threats.frequency(tmp_path / "nothing here").ok


def test_doctor_prints_the_findings(harness_cli):
    ended = harness_cli("doctor")
    assert ended.code == 0, ended.err
    assert "non-deterministic kernels: " in ended.out
    names = [finding["name"] for finding in harness_cli("doctor", "--json").document["findings"]]
    assert names[:3] == ["denormals", "TF32 and other short formats", "non-deterministic kernels"]
    assert {"threads", "frequency scaling", "busy machine"} <= set(names)


def test_a_record_reaches_everything_it_came_from(harness_cli):
    harness_cli.toy("toy", "--only", "seed=0", "--jobs", "1")
    record = harness_cli.records[0]
    (shown,) = harness_cli("show", record["id"][:8], "--json").document.values()
    environment = shown["environment"]
    assert {"commit", "dirty", "diff"} == environment["source"].keys()
    assert environment["packages"]["torch"]
    assert environment["threads"] == 1
    assert environment["torch"]["deterministic"] is True
    assert environment["switches"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert all(library["num_threads"] == 1 for library in environment["blas"] if "num_threads" in library)
    assert environment["blas"]
    assert environment["cpu"]
    assert environment["plugins"]["toy"]["code"]
    assert environment["plugins"]["flatnce"]["version"]
    text = harness_cli("show", record["id"][:8]).out
    assert "blas" in text
    assert environment["plugins"]["toy"]["code"] in text
