"""Memory of a cell: how much it held at most, a limit it may not pass, and how to tell that it ran out."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class PeakMemory:
    """Highest memory between start and stop, above the level at the start: CUDA's allocator, or resident set.

    On Linux the kernel's high-water mark is reset at the start; elsewhere the figure is None. It is exact where freed
    blocks go back to the system: ``keep_freed_blocks``.
    """

    def __init__(self, slot: str) -> None:
        self._cuda = slot.startswith("cuda")
        self._slot = slot
        self._before: int | None = None

    def start(self) -> None:
        """Let go of what earlier cells left, and mark the level."""
        gc.collect()
        if self._cuda:
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._slot)
            self._before = torch.cuda.memory_allocated(self._slot)
            return
        try:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        except (OSError, AttributeError):
            return
        self._before = _status("self")["VmRSS"]

    def stop(self) -> int | None:
        """The peak above the level at the start, in bytes; None where it was not started or cannot be known."""
        if self._before is None:
            return None
        if self._cuda:
            import torch

            return max(0, torch.cuda.max_memory_allocated(self._slot) - self._before)
        return max(0, _status("self")["VmHWM"] - self._before)


def keep_freed_blocks(up_to: int) -> None:
    """Let glibc keep freed blocks of up to so many bytes, 32 MB at most, and hand larger ones back to the system.

    By itself it keeps what is below the largest block of at most 32 MB that was ever freed, so that neither time nor
    memory of a call is what it is in a process that has been at work for a while. Another C library is left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    # From how many bytes on a block is a mapping of its own, and how many free ones at the end are too many.
    mallopt(-3, up_to)
    mallopt(-1, 2 * up_to)


@contextmanager
def at_most(limit: int | None) -> Iterator[None]:
    """Let an allocation fail that would take this process more than ``limit`` bytes above what it holds now.

    The kernel counts what is allocated for data, touched or not. Only Linux enforces it; the limit is gone at the end.
    """
    if limit is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_status("self")["VmData"] + limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def ran_out(error: BaseException) -> str | None:
    """Which memory an exception says has run out, in words; None where it speaks of something else.

    >>> ran_out(MemoryError()), ran_out(ValueError("no"))
    ('out of memory', None)
    """
    # torch's own, which the GPU's allocators raise; the CPU's raises a RuntimeError.
    if type(error).__name__ == "OutOfMemoryError":
        return "out of GPU memory"
    told = isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    return "out of memory" if told or isinstance(error, MemoryError) else None


def held(processes: Iterable[int]) -> int:
    """Bytes of their own that these processes hold resident, those that are gone left out."""
    total = 0
    for process in processes:
        try:
            status = _status(str(process))
        except OSError:
            continue
        total += status.get("RssAnon", 0) + status.get("RssShmem", 0)
    return total


def kernel_kills() -> int:
    """How many processes the kernel has ended because the machine ran out of memory, since it was started."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def descendants(process: int) -> list[int]:
    """Process numbers of the children of a process, of theirs, and so on. Empty where there is no /proc."""
    found: list[int] = []
    waiting = [process]
    while waiting:
        try:
            threads = list(Path(f"/proc/{waiting.pop()}/task").iterdir())
            children = [int(c) for thread in threads for c in (thread / "children").read_text().split()]
        except OSError:
            continue
        found += children
        waiting += children
    return found


def _status(process: str) -> dict[str, int]:
    """The sizes in /proc/PID/status, in bytes."""
    found = {}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value.split()[0]) * 1024
    return found
