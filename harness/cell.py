"""The cell: one point of a suite's cross, its key, and what its random generators start from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.spec import AXES, Scalar

#: Part of every cell's key. Raised when the core changes what a cell computes.
PROTOCOL = 1


@dataclass(frozen=True)
class Cell:
    """One point of a suite's cross: one method on one task under one setting and one seed.

    Cells with the same key compute the same thing; the suite they came from is not part of the key.
    """

    suite: str
    method: str
    task: str
    #: Every option of the task and of the method, defaults filled in.
    options: Mapping[str, Scalar]
    device: str
    dtype: str
    seed: int
    #: Digest of the source code of the plugins that bring the method and the task.
    code: str
    #: Digest of each data set's files, by name; None where the data set is not on this machine. A file that an
    #: option names goes by "option NAME".
    data: Mapping[str, str | None] = field(default_factory=dict)
    #: Why it cannot run here, or None.
    skip: str | None = None
    #: Names of the options that are the method's alone, not the task's.
    own: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """The key's digest, 20 hexadecimal digits."""
        key = (
            PROTOCOL,
            self.method,
            self.task,
            dict(self.options),
            self.device,
            self.dtype,
            self.seed,
            self.code,
        )
        text = json.dumps([*key, dict(self.data)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @property
    def random_seed(self) -> int:
        """What the random generators start from.

        A hash of the task and the seed alone, so that two methods (or two options) under one seed see the same
        initial weights, data order and augmentations: their difference is then a paired one.
        """
        return int.from_bytes(hashlib.sha256(f"{self.task}\0{self.seed}".encode()).digest()[:8], "big") >> 1

    def value(self, axis: str) -> Scalar | None:
        """Its value on an axis (``method``, ``seed``, ... or an option's name); None if it has no such option."""
        return getattr(self, axis) if axis in AXES else self.options.get(axis)

    def __str__(self) -> str:
        settings = "".join(f"{k}={v} " for k, v in self.options.items())
        return f"{self.method} on {self.task} {settings}{self.device} {self.dtype} seed={self.seed}"
