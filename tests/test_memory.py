"""The peak memory of a call, where buffers that were freed before must not hide what it takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MEASURED = """
import json
import torch
from harness.running.memory import PeakMemory, keep_freed_blocks

keep_freed_blocks(2**16)

x = torch.ones(1_000_000)

def call():
    first = x[:900_000] + 1
    # Stands behind it, so that it is no part of the heap's end when it is freed; the next do not fit into its place.
    wall = torch.ones(2_000)
    del first
    second = x + 1
    return second + 1, wall

# glibc keeps blocks of this size from now on, unless it was told otherwise.
torch.ones(7_000_000)
call()
peaks = []
for _ in range(5):
    memory = PeakMemory("cpu")
    memory.start()
    call()
    peaks.append(memory.stop())
print(json.dumps(peaks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its high-water mark")
def test_exact_peak_is_what_is_alive_at_once_whatever_was_freed_before():
    ended = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=60)
    peaks = json.loads(ended.stdout)
    # Two buffers of 4 MB; the kernel counts pages in lots.
    assert sorted(peaks)[1:-1] == pytest.approx([8e6] * 3, rel=0.05), peaks
