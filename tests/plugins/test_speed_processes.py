"""Work in processes of its own: what they send arrives, and however they end, the reason is the true one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.running.engines import child_process
from harness_plugins.speed.own_process import Failure, Limits, run_in_process

LIMITS = Limits(60)


def sends_then_fails(send):
    send("one")
    raise RuntimeError("then fails")


def kills_itself(send, number):  # noqa: ARG001
    os.kill(os.getpid(), number)


def starts_another_and_hangs(send):
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1000,))
    process.start()
    send(process.pid)
    time.sleep(1000)


def leaves_another_with_its_pipe(send):
    if other := os.fork():
        send(other)
        os._exit(3)
    time.sleep(1000)


@pytest.fixture
def gone():
    """A function that waits until a process is gone."""

    def is_gone(process):
        for _ in range(200):
            state = subprocess.run(
                ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
            )
            if not state.stdout.strip() or state.stdout.startswith("Z"):
                return True
            time.sleep(0.05)
        return False

    return is_gone


def test_what_a_process_sent_before_it_failed_arrives():
    first, failure = run_in_process(sends_then_fails, (), LIMITS)
    assert first == "one"
    assert failure.status == "raised"
    assert failure.cause.startswith("RuntimeError: then fails (test_speed_processes.py:")


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (signal.SIGSEGV, "its process was killed by SIGSEGV"),
        (signal.SIGKILL, "its process was killed by SIGKILL from outside"),
    ],
)
def test_a_killed_process_is_not_called_out_of_memory(number, cause):
    assert list(run_in_process(kills_itself, (number,), LIMITS)) == [Failure("crashed", cause)]


def test_a_killed_process_is_out_of_memory_where_the_kernel_says_so(monkeypatch):
    monkeypatch.setattr(child_process, "kernel_kills", lambda: 10**9)
    (failure,) = run_in_process(kills_itself, (signal.SIGKILL,), LIMITS)
    assert failure == Failure("memory", "out of memory: the kernel killed its process (--memory sets a limit)")


def test_what_a_process_started_ends_with_it(gone):
    other, failure = run_in_process(starts_another_and_hangs, (), Limits(10))
    assert failure == Failure("time", "took longer than 10 s")
    assert gone(other)


def test_the_end_of_a_process_is_noticed_though_another_holds_its_pipe(gone):
    other, failure = run_in_process(leaves_another_with_its_pipe, (), LIMITS)
    assert failure == Failure("crashed", "its process ended with exit status 3")
    assert gone(other)


def test_a_file_in_the_working_folder_shadows_no_module_of_pythons(tmp_path):
    (tmp_path / "random.py").write_text("raise RuntimeError('not this one')")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "from harness_plugins.speed.measurements import send_rates\n"
        "from harness_plugins.speed.own_process import Limits, run_in_process\n"
        "print(*run_in_process(send_rates, ('nowhere', 1), Limits(120)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    # The process gets as far as torch, which does not know the device.
    assert "Failure(status='raised'" in done.stdout and "nowhere" in done.stdout, done.stdout + done.stderr
