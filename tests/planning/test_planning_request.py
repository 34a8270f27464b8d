"""The request: what contradicts itself or cannot be is refused; where results go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.errors import UnknownName, UsageError
from harness.planning.request import Request, check_device, results_folder


@pytest.mark.parametrize(
    ("fields", "message", "flag"),
    [
        ({"fresh": True, "retry_failed": True}, "fresh and retry_failed contradict", "--fresh and --retry-failed"),
        ({"until_decided": True, "seeds": 3}, "until_decided and seeds contradict", "--until-decided and --seeds"),
        ({"jobs": 0}, "jobs=0: at least 1 is needed", "--jobs 0"),
        ({"retries": -1}, "retries=-1: 0 or more is needed", "--retries -1"),
        ({"seeds": 0}, "seeds=0: at least 1 is needed", "--seeds 0"),
        ({"devices": ("cpu", "cuda:x")}, "device=cuda:x: a number is needed after the colon", "--device cuda:x"),
        (
            {"devices": ("cpu:0",)},
            "device=cpu:0: a number is needed after the colon, as in cuda:0, and none",
            "--device",
        ),
        ({"devices": ("cuda:",)}, "device=cuda:", "--device cuda:"),
        ({"devices": ("GPU",)}, "device=GPU: which kind? cuda", "--device GPU"),
    ],
)
def test_wrong_requests_are_refused(fields, message, flag):
    with pytest.raises(UsageError) as error:
        Request(suite="s", **fields)
    assert message in str(error.value)
    assert flag in error.value.as_flag


def test_least_allowed_values_are_allowed():
    request = Request(suite="s", jobs=1, retries=0, seeds=1, memory=1 if sys.platform.startswith("linux") else None)
    assert (request.worker_count, request.retries, request.seeds) == (1, 0, 1)
    assert Request(suite="s", fresh=True, seeds=3).seeds == 3
    assert Request(suite="s").retries == 2
    for device in ("cpu", "cuda", "cuda:1", "mps", "xpu:0"):
        check_device(device)


def test_memory_can_be_limited_on_linux_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="memory=5: only Linux can limit"):
        Request(suite="s", memory=5)


def test_unknown_device_suggests_the_nearest():
    with pytest.raises(UnknownName, match="unknown device 'cud'; did you mean 'cuda'"):
        check_device("cud")


def test_kinds_of_devices_come_once_in_their_order():
    assert Request(suite="s", devices=("cuda:1", "cpu", "cuda:0")).kinds == ("cuda", "cpu")


def test_results_go_to_the_folder_named_else_to_the_variable_else_to_results(monkeypatch):
    monkeypatch.setenv("HARNESS_RESULTS", "from-variable")
    assert Request(suite="s", results="named").folder == Path("named")
    assert results_folder() == Request(suite="s").folder == Path("from-variable")
    monkeypatch.delenv("HARNESS_RESULTS")
    assert results_folder() == Path("results")


def test_one_worker_for_each_core_that_may_be_used(monkeypatch):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not restrict processes to cores")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert Request(suite="s").worker_count == 3
