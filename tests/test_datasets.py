"""Data sets are found in order, checked by digest, and never silently the wrong ones."""

from __future__ import annotations

import hashlib
import http.server
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
def own(tmp_path, monkeypatch):
    """A user's own copy, in $HARNESS_DATA."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "own"))
    (tmp_path / "own" / "toy").mkdir(parents=True)
    (tmp_path / "own" / "toy" / "a.csv").write_bytes(CONTENT)
    return tmp_path / "own" / "toy"


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "downloads", lambda: tmp_path / "downloads")


def test_the_users_own_copy_comes_first(own, tmp_path):
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "a.csv").write_bytes(CONTENT)
    dataset = make(Place(folder=str(tmp_path / "system")))
    assert datasets.locate(dataset).place == "HARNESS_DATA"
    (own / "a.csv").unlink()
    assert datasets.locate(dataset).place == str(tmp_path / "system")


def test_a_packages_folder_is_found_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "shipper" / "data").mkdir(parents=True)
    (tmp_path / "shipper" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "shipper" / "data" / "a.csv").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert datasets.locate(make(Place(package="shipper", folder="data"))).place == "package shipper"


def test_a_file_of_no_known_digest_is_taken_as_it_is_and_other_content_has_another_key(own):
    before = datasets.locate(make(digests=())).digest
    (own / "a.csv").write_bytes(CONTENT + b"4,5,6\n")
    assert datasets.locate(make(digests=())).digest != before


def test_what_is_fetched_needs_a_digest():
    with pytest.raises(UsageError, match=r"a\.csv: what is fetched needs a sha256 digest"):
        make(Place(url="https://example.org/data"), digests=())


def test_a_changed_file_is_an_error_that_names_it(own):
    datasets.locate(make())
    (own / "a.csv").write_bytes(CONTENT + b"x")
    with pytest.raises(DatasetError, match=r"a\.csv has sha256 .* is needed"):
        datasets.locate(make())


@pytest.mark.usefixtures("own")
def test_a_data_set_of_several_files_must_be_whole():
    both = Dataset(name="toy", licence="", load=dict, files={"a.csv": (DIGEST,), "b.csv": (DIGEST,)})
    with pytest.raises(DatasetError, match=r"b\.csv is not there"):
        datasets.locate(both)


def test_one_that_is_nowhere_says_how_to_get_it():
    place = Place(package="no_such_package", get="pip install it")
    with pytest.raises(DatasetMissing, match=r"pip install it, or put a\.csv into \$HARNESS_DATA/toy"):
        datasets.locate(make(place))


def test_the_digest_follows_the_content(own):
    first = datasets.locate(make()).digest
    other = CONTENT + b"4,5,6\n"
    (own / "a.csv").write_bytes(other)
    second = datasets.locate(make(digests=(DIGEST, hashlib.sha256(other).hexdigest()))).digest
    assert first != second
    assert len(first) <= 36


@pytest.mark.usefixtures("own")
def test_loaded_arrays_are_shared_and_cannot_be_changed():
    dataset = make()
    rows = datasets.load(dataset)["rows"]
    assert datasets.load(dataset)["rows"] is rows
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 9


@pytest.fixture
def address(tmp_path):
    """A web server on localhost with the data set's file."""
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


def test_fetching_keeps_what_has_the_right_digest(address):
    dataset = make(Place(url=address))
    with pytest.raises(DatasetMissing, match="harness data fetch toy"):
        datasets.locate(dataset)
    fetch(dataset)
    assert datasets.locate(dataset).place == "downloaded"


def test_fetching_keeps_nothing_else(address, tmp_path):
    with pytest.raises(DatasetError, match="nothing was stored"):
        fetch(make(Place(url=address), digests=("0" * 64,)))
    assert list((tmp_path / "downloads" / "toy").iterdir()) == []


def test_an_address_that_does_not_answer_is_one_sentence(address):
    with pytest.raises(HarnessError, match="cannot be fetched"):
        fetch(make(Place(url=address + "/no/such/folder")))
    with pytest.raises(UsageError, match="no address"):
        fetch(make())
