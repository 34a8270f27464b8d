"""What a cell has changed in its process, for processes that run several cells."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.running.memory import descendants

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
#: What a cell may have put in the place of something else.
_CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, types.ModuleType)


class Leftovers:
    """Compares the state of this process with what it was when this object was made."""

    def __init__(self) -> None:
        self._before = {name: read() for name, read in _STATES.items()}
        self._modules = _attributes()

    def left(self) -> str:
        """Why this process should run no further cell: the first state that differs; "" where none does."""
        try:
            return self._difference()
        except Exception as error:  # noqa: BLE001  without its folder or open files, say, nothing can be read
            return f"its state cannot be read: {type(error).__name__}"

    def _difference(self) -> str:
        if descendants(os.getpid()):
            return "processes left behind"
        for name, read in _STATES.items():
            if read() != self._before[name]:
                return f"{name} changed"
        now = _attributes()
        for module, attributes in self._modules.items():
            for name, value in attributes.items():
                if now.get(module, {}).get(name, value) is not value:
                    return f"{module}.{name} changed"
        self._modules = now
        return ""


def _attributes() -> dict[str, dict[str, Any]]:
    """Functions, classes and modules among the attributes of every module."""
    return {
        name: {key: value for key, value in vars(module).copy().items() if isinstance(value, _CODE)}
        for name, module in sys.modules.copy().items()
        if isinstance(module, types.ModuleType)
    }


def _torch_state() -> tuple[Any, ...]:
    import torch

    kinds = ("cpu", "cuda")
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        # Flush-denormal has no getter.
        float(torch.full((1,), 1e-40, dtype=torch.float32, device="cpu") * 0.5) == 0.0,
    )


def _numpy_state() -> tuple[Any, ...]:
    import numpy as np

    return tuple(np.geterr().items()), np.geterrcall()


def _limits() -> list[tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return [resource.getrlimit(getattr(resource, name)) for name in names]


def _descriptors() -> list[tuple[int, int] | None]:
    """Which files the first three descriptors are."""
    files: list[tuple[int, int] | None] = []
    for descriptor in range(3):
        try:
            status = os.fstat(descriptor)
            files.append((status.st_dev, status.st_ino))
        except OSError:
            files.append(None)
    return files


def _signals() -> list[Any]:
    return [signal.getsignal(number) for number in signal.valid_signals()]


_STATES: dict[str, Callable[[], Any]] = {
    "the number of threads": threading.active_count,
    "torch's modes": _torch_state,
    "numpy's error state": _numpy_state,
    "the working folder": Path.cwd,
    "a temporary file": lambda: sorted(os.listdir(tempfile.gettempdir())),  # noqa: PTH208
    "the environment": lambda: dict(os.environ),
    "sys.path": lambda: list(sys.path),
    "a resource limit": _limits,
    "the processor affinity": lambda: os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
    "a standard stream": lambda: (_descriptors(), [(stream, stream.closed) for stream in (sys.stdout, sys.stderr)]),
    "a signal handler": _signals,
    "a timer": lambda: [signal.getitimer(kind)[0] > 0 for kind in _TIMERS],
}
