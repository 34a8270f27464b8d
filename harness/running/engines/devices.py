"""Whether this machine has the devices that a request names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from harness.errors import ArgumentError


def check_devices_exist(devices: Sequence[str]) -> None:
    """Raise UsageError for a device that this machine does not have.

    torch is imported here only where something else than the CPU is asked for, and no context is made.
    """
    for device in devices:
        kind, _, index = device.partition(":")
        if kind == "cpu":
            continue
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        import torch

        backend = getattr(torch, kind)
        count = backend.device_count() if backend.is_available() else 0
        if count <= int(index or 0):
            have = f"torch {torch.__version__} sees {count} {kind} device{'' if count == 1 else 's'} here"
            raise ArgumentError("device", device, f"{have}; 'harness doctor' says what there is")
