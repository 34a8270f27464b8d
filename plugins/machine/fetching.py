"""Download data sets from where they were published."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from harness.errors import DatasetError, HarnessError, UsageError
from harness.registry import datasets
from harness.registry.datasets import digest_of, how_to_get
from harness.spec import Dataset, file_digest


def fetch(dataset: Dataset) -> Path:
    """Download a data set's files from where it was published, verify and store them; return their folder.

    Raises UsageError where it has no address, DatasetError where a file has another digest, HarnessError where a
    download fails.
    """
    import pooch

    url = next((p.url for p in dataset.places if p.url), "")
    if not url:
        raise UsageError(f"data set {dataset.name} has no address to fetch it from: {how_to_get(dataset)}")
    folder = datasets.downloads() / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    for file, digests in dataset.files.items():
        if (folder / file).is_file() and digest_of(folder / file) in digests:
            continue
        with tempfile.TemporaryDirectory(dir=folder) as draft:
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
    return folder
