"""Download data sets from where they were published."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from harness.errors import DatasetError, HarnessError, UsageError
from harness.registry import datasets
from harness.registry.datasets import digest_of, how_to_get
from harness.spec import Dataset, file_digest

#: What names of folders with partial downloads begin with.
_DRAFT = ".download-"


def fetch(dataset: Dataset) -> Path:
    """Download a data set's files from where it was published, verify and store them; return their folder.

    Raises UsageError where it has no address, DatasetError where a file has another digest, HarnessError where a
    download fails.
    """
    url = next((p.url for p in dataset.places if p.url), "")
    if not url:
        raise UsageError(f"data set {dataset.name} has no address to fetch it from: {how_to_get(dataset)}")
    folder = datasets.downloads() / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    # One download at a time: what another one left behind then has no owner any more.
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        for leftover in folder.glob(f"{_DRAFT}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for file, digests in dataset.files.items():
            if not ((folder / file).is_file() and digest_of(folder / file) in digests):
                _download(dataset, url, file, folder)
    return folder


def _download(dataset: Dataset, url: str, file: str, folder: Path) -> None:
    """Download one file, and move it to its place if it has one of its digests."""
    import pooch

    digests = dataset.files[file]
    with tempfile.TemporaryDirectory(dir=folder, prefix=_DRAFT) as draft:
        try:
            download = Path(pooch.retrieve(url.rstrip("/") + "/" + file, None, fname=file, path=draft))
        except (OSError, ValueError) as error:
            raise HarnessError(f"data set {dataset.name}: {url}/{file} cannot be fetched: {error}") from None
        if (digest := file_digest(download)) not in digests:
            raise DatasetError(
                f"data set {dataset.name}: {url}/{file} has sha256 {digest[:12]}..., "
                f"not {digests[0][:12]}...; nothing was stored"
            )
        shutil.move(download, folder / file)
