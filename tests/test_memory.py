"""Peak memory of a call is exact although buffers were freed before."""

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
    # A block behind it, so that freeing it does not shrink the heap; the next buffers do not fit into the hole.
    wall = torch.ones(2_000)
    del first
    second = x + 1
    return second + 1, wall

# Without the setting glibc keeps freed blocks of up to this size from now on.
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the high-water mark of a process")
def test_exact_peak_counts_live_buffers_and_no_freed_ones():
    process = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=300)
    peaks = json.loads(process.stdout)
    # Two buffers of 4 MB; the kernel counts pages in batches.
    assert sorted(peaks)[1:-1] == pytest.approx([8e6] * 3, rel=0.05), peaks
