"""Memory of a cell: its peak, a limit, and whether it ran out.

/proc is read directly: psutil knows neither the resident high-water mark nor the anonymous part alone, and to find the
children of a process it reads every process of the machine.
"""

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
        self._mapped = 0

    def start(self) -> None:
        """Free what earlier cells left, and note the level."""
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
        status = _status("self")
        self._before, self._mapped = status["VmRSS"], status.get("RssFile", 0)

    def stop(self) -> int | None:
        """The peak above the level at the start, in bytes; None where it was not started or cannot be known."""
        if self._before is None:
            return None
        if self._cuda:
            import torch

            return max(0, torch.cuda.max_memory_allocated(self._slot) - self._before)
        status = _status("self")
        # Pages of libraries that are used for the first time are not the task's.
        mapped = max(0, status.get("RssFile", 0) - self._mapped)
        return max(0, status["VmHWM"] - self._before - mapped)


def keep_freed_blocks(up_to: int) -> None:
    """Let glibc keep freed blocks of up to so many bytes, 32 MB at most, and hand larger ones back to the system.

    By itself it keeps what is below the largest block of at most 32 MB that was ever freed, so that neither time nor
    memory of a call is what it is in a process that has been at work for a while. Another C library is left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    # M_MMAP_THRESHOLD: larger blocks are mappings of their own. M_TRIM_THRESHOLD: most free bytes at the heap's end.
    mallopt(-3, up_to)
    mallopt(-1, 2 * up_to)


@contextmanager
def at_most(limit: int | None) -> Iterator[None]:
    """Make allocations fail that take this process more than ``limit`` bytes above what it holds now.

    The kernel counts what is allocated for data, touched or not. Only Linux enforces it.
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
    """Which memory has run out, by an exception; None where it is about something else.

    >>> ran_out(MemoryError()), ran_out(ValueError("no"))
    ('out of memory', None)
    """
    # torch's own, which the GPU's allocators raise; the CPU's raises a RuntimeError.
    if type(error).__name__ == "OutOfMemoryError":
        return "out of GPU memory"
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    return "out of memory" if on_cpu or isinstance(error, MemoryError) else None


def held(processes: Iterable[int], beside: int) -> int:
    """Bytes of memory that these processes hold and do not share with the process ``beside``, their server.

    What several of them share counts once, so that twenty idle forks hold next to nothing. Processes that are gone
    count nothing.
    """
    shared = _proportional(beside)
    return sum(max(0, _proportional(process) - shared) for process in processes)


def _proportional(process: int) -> int:
    """Bytes of a process's memory for data, what it shares with n others divided by n; 0 for one that is gone.

    What a server shares with its children is as much of the server's figure as of theirs.
    """
    try:
        sizes = _sizes(Path(f"/proc/{process}/smaps_rollup"))
    except OSError:
        return 0
    return sizes.get("Pss_Anon", sizes.get("Pss", 0)) + sizes.get("Pss_Shmem", 0)


def kernel_kills() -> int:
    """How many processes the kernel has killed since boot because the machine ran out of memory."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def descendants(process: int) -> list[int]:
    """Process numbers of the children of a process, and of their children. Empty where there is no /proc."""
    numbers: list[int] = []
    waiting = [process]
    while waiting:
        try:
            threads = list(Path(f"/proc/{waiting.pop()}/task").iterdir())
            children = [int(c) for thread in threads for c in (thread / "children").read_text().split()]
        except OSError:
            continue
        numbers += children
        waiting += children
    return numbers


def _status(process: str) -> dict[str, int]:
    """The sizes in /proc/PID/status, in bytes."""
    return _sizes(Path(f"/proc/{process}/status"))


def _sizes(path: Path) -> dict[str, int]:
    sizes = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0]) * 1024
    return sizes
