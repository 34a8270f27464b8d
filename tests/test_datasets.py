"""Data sets are searched in order and checked by digest; a wrong file is never used silently."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from functools import partial

import numpy as np
import pytest

from harness.errors import DatasetError, DatasetMissing, HarnessError, UsageError
from harness.registry import datasets
from harness.spec import Dataset, Place
from harness_plugins.machine.fetching import fetch

CONTENT = b"1,2,3\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def make(*places: Place, digests: tuple[str, ...] = (DIGEST,), load=None) -> Dataset:
    load = load or (lambda files: {"rows": np.loadtxt(files["a.csv"], delimiter=",")})
    return Dataset(name="toy", licence="CC0-1.0", files={"a.csv": digests}, load=load, places=places)


@pytest.fixture
def user_copy(tmp_path, monkeypatch):
    """A copy of the data set in $HARNESS_DATA."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "own"))
    (tmp_path / "own" / "toy").mkdir(parents=True)
    (tmp_path / "own" / "toy" / "a.csv").write_bytes(CONTENT)
    return tmp_path / "own" / "toy"


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "downloads", lambda: tmp_path / "downloads")


def test_copy_in_harness_data_comes_first(user_copy, tmp_path):
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "a.csv").write_bytes(CONTENT)
    dataset = make(Place(folder=str(tmp_path / "system")))
    assert datasets.locate(dataset).place == "HARNESS_DATA"
    (user_copy / "a.csv").unlink()
    assert datasets.locate(dataset).place == str(tmp_path / "system")


def test_folder_of_a_package_is_found_without_importing_the_package(tmp_path, monkeypatch):
    (tmp_path / "shipper" / "data").mkdir(parents=True)
    (tmp_path / "shipper" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "shipper" / "data" / "a.csv").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert datasets.locate(make(Place(package="shipper", folder="data"))).place == "package shipper"


def test_file_without_known_digest_is_accepted_and_changes_the_key_with_its_content(user_copy):
    before = datasets.locate(make(digests=())).digest
    (user_copy / "a.csv").write_bytes(CONTENT + b"4,5,6\n")
    assert datasets.locate(make(digests=())).digest != before


def test_changed_file_of_the_same_length_has_another_digest(user_copy):
    file = user_copy / "a.csv"
    assert datasets.digest_of(file) == DIGEST
    state = file.stat()
    file.write_bytes(CONTENT[::-1])
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert datasets.digest_of(file) == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_file_to_fetch_needs_a_digest():
    with pytest.raises(UsageError, match=r"a\.csv: what is fetched needs a sha256 digest"):
        make(Place(url="https://example.org/data"), digests=())


def test_error_about_a_changed_file_names_it(user_copy):
    datasets.locate(make())
    (user_copy / "a.csv").write_bytes(CONTENT + b"x")
    with pytest.raises(DatasetError, match=r"a\.csv has sha256 .* is needed"):
        datasets.locate(make())


@pytest.mark.usefixtures("user_copy")
def test_incomplete_data_set_is_an_error():
    both = Dataset(name="toy", licence="", load=dict, files={"a.csv": (DIGEST,), "b.csv": (DIGEST,)})
    with pytest.raises(DatasetError, match=r"b\.csv is not there"):
        datasets.locate(both)


def test_error_about_a_missing_data_set_says_how_to_get_it():
    place = Place(package="no_such_package", get="pip install it")
    with pytest.raises(DatasetMissing, match=r"pip install it, or put a\.csv into \$HARNESS_DATA/toy"):
        datasets.locate(make(place))


def test_digest_depends_on_the_content(user_copy):
    first = datasets.locate(make()).digest
    other = CONTENT + b"4,5,6\n"
    (user_copy / "a.csv").write_bytes(other)
    second = datasets.locate(make(digests=(DIGEST, hashlib.sha256(other).hexdigest()))).digest
    assert first != second
    assert len(first) <= 36


@pytest.mark.usefixtures("user_copy")
def test_loaded_arrays_are_shared_and_read_only():
    dataset = make()
    rows = datasets.load(dataset)["rows"]
    assert datasets.load(dataset)["rows"] is rows
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 9


@pytest.fixture
def address(tmp_path):
    """The address of a web server on localhost with the data set's file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.csv").write_bytes(CONTENT)
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_fetched_file_with_the_known_digest_is_stored(address):
    dataset = make(Place(url=address))
    with pytest.raises(DatasetMissing, match="harness data fetch toy"):
        datasets.locate(dataset)
    fetch(dataset)
    assert datasets.locate(dataset).place == "downloaded"


def test_damaged_download_is_replaced_and_a_sound_one_is_not_fetched_again(address, tmp_path):
    file = tmp_path / "downloads" / "toy" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT[:3])
    fetch(make(Place(url=address)))
    assert file.read_bytes() == CONTENT
    fetch(make(Place(url="http://127.0.0.1:1")))


def test_fetched_file_with_another_digest_is_not_stored(address, tmp_path):
    with pytest.raises(DatasetError, match="nothing was stored"):
        fetch(make(Place(url=address), digests=("0" * 64,)))
    assert list((tmp_path / "downloads" / "toy").iterdir()) == []


def test_error_about_an_unreachable_address_is_one_sentence(address):
    with pytest.raises(HarnessError, match="cannot be fetched"):
        fetch(make(Place(url=address + "/no/such/folder")))
    with pytest.raises(UsageError, match="no address"):
        fetch(make())
