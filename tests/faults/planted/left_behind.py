"""Faults that a cell leaves behind in its process, and a cell that notices each of them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path


def draw_in_a_thread() -> None:
    """Draw global random numbers for ever."""
    import numpy as np
    import torch

    def draw() -> None:
        while True:
            random.random()
            np.random.rand()
            torch.rand(1)

    threading.Thread(target=draw, daemon=True).start()


def enter_autocast() -> None:
    import torch

    torch.autocast("cpu", torch.bfloat16).__enter__()


def flush_denormals() -> None:
    import torch

    torch.set_flush_denormal(True)


def patch_a_module() -> None:
    import torch

    torch.nn.functional.softplus = torch.nn.functional.relu


def patch_json() -> None:
    json.dumps = lambda *_, **__: "patched"


def patch_isfinite() -> None:
    math.isfinite = lambda _: True  # type: ignore[assignment]


def switch_gradients_off() -> None:
    import torch

    torch.set_grad_enabled(False)


def enter_inference_mode() -> None:
    import torch

    torch.inference_mode().__enter__()


def change_the_default_device() -> None:
    import torch

    torch.set_default_device("meta")


def change_the_default_dtype() -> None:
    import torch

    torch.set_default_dtype(torch.float64)


def close_the_standard_streams() -> None:
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def start_a_timer() -> None:
    def late(*_: object) -> None:
        raise RuntimeError("a late alarm")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)


def go_to_a_removed_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


def empty_the_environment() -> None:
    os.environ.clear()


def empty_the_import_path() -> None:
    sys.path.clear()


def raise_numpy_errors() -> None:
    import numpy as np

    np.seterr(all="raise")


def forbid_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def change_the_affinity() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def use_two_threads() -> None:
    import torch

    torch.set_num_threads(2)


def leave_a_process() -> None:
    subprocess.Popen(["sleep", "600"], start_new_session=True)


def leave_a_file() -> None:
    (Path(tempfile.gettempdir()) / "left-behind").touch()


LEFT_BEHIND: dict[str, Callable[[], None]] = {
    act.__name__: act
    for act in (
        draw_in_a_thread,
        enter_autocast,
        flush_denormals,
        patch_a_module,
        patch_json,
        patch_isfinite,
        switch_gradients_off,
        enter_inference_mode,
        change_the_default_device,
        change_the_default_dtype,
        close_the_standard_streams,
        start_a_timer,
        go_to_a_removed_folder,
        empty_the_environment,
        empty_the_import_path,
        raise_numpy_errors,
        forbid_files,
        change_the_affinity,
        use_two_threads,
        leave_a_process,
        leave_a_file,
    )
}


def look_around(weight: float) -> dict[str, float]:
    """Two numbers that differ, or an exception, after each of the faults above."""
    import numpy as np
    import torch

    parameter = torch.full((3,), weight, requires_grad=True)
    noise = torch.rand(64, 64)
    # An alarm would come, and a thread would draw, in this time.
    time.sleep(0.2)
    loss = (torch.nn.functional.softplus(noise @ noise[:, :3] * parameter)).sum()
    loss.backward()
    assert parameter.grad is not None
    assert parameter.dtype == torch.float32
    denormal = float(torch.full((1,), 1e-40) * 0.5)
    assert math.isinf(float(np.float64(1.0) / np.array(0.0))), "numpy warns only"
    assert not math.isfinite(math.inf)
    assert importlib.util.find_spec("this") is not None
    total = float(loss) + float(parameter.grad.sum()) + denormal * 1e40
    total += random.random() + float(np.random.rand())
    total += len(json.dumps(os.sched_getaffinity(0) and [1, 2]))
    assert list(Path(tempfile.gettempdir()).glob("left-behind")) == []
    assert subprocess.run(["true"], check=False).returncode == 0
    assert [Path(f"/proc/self/fd/{n}").exists() for n in range(3)] == [True] * 3
    print("a line")  # noqa: T201
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    noise_left = processors + 100 * torch.get_num_threads() + 1000 * threading.active_count() + 10_000 * len(children)
    return {"total": total, "noise": float(noise_left + len(Path.cwd().parts))}
