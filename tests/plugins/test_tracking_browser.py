"""MLflow's pages as a person sees them: a served store, opened in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracking_runs import suite_result

from harness_plugins.tracking.server import experiment_url
from harness_plugins.tracking.writer import publish, tracking_uri

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium and its driver are not installed"),
    pytest.mark.usefixtures("tracking_environment"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
#: Seconds a page gets to show what it should.
PATIENCE = 60


@pytest.fixture
def page(results: Path, tmp_path: Path) -> Iterator[tuple[Any, int]]:
    """A browser beside a server of a published store, and the server's port."""
    publish(suite_result(results))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    code = "import sys, pathlib, harness_plugins.tracking.server as ui;"
    code += "ui.serve(pathlib.Path('results'), int(sys.argv[1]), print)"
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'browser'}")
    options.add_argument("--window-size=1600,1000")
    with subprocess.Popen([sys.executable, "-uc", code, str(port)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
        try:
            yield browser, port
        finally:
            browser.quit()
            os.kill(server.pid, signal.SIGTERM)


def shows(browser: Any, *texts: str) -> str:
    """The page's text once all of these stand in it."""
    from selenium.webdriver.support.ui import WebDriverWait

    def text(_: Any) -> str | None:
        found: str = browser.execute_script("return document.body.innerText")
        return found if all(t in found for t in texts) else None

    found: str = WebDriverWait(browser, PATIENCE).until(text, f"not all of {texts} appeared")
    return found


def comparison_url(results: Path, port: int, *names: str) -> str:
    """Where MLflow compares the runs of these names."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(results))
    experiment = client.get_experiment_by_name("contrastive").experiment_id
    runs = [run.info.run_id for run in client.search_runs([experiment]) if run.info.run_name in names]
    assert len(runs) == len(names)
    query = [urllib.parse.quote(json.dumps(ids)) for ids in (runs, [experiment])]
    return f"http://127.0.0.1:{port}/#/compare-runs?runs={query[0]}&experiments={query[1]}"


def test_the_runs_table_opens_with_methods_in_order_and_claims_with_their_verdicts(page, results: Path) -> None:
    browser, port = page
    browser.get(experiment_url(results, "contrastive", port))
    text = shows(browser, "infonce · batch_size=32", "interval.accuracy", "0.9017 [0.8982, 0.9052]")
    assert text.index("flatnce · batch_size=8") < text.index("infonce · batch_size=8"), "the suite's order"
    browser.get("about:blank")
    browser.get(experiment_url(results, "contrastive", port, "claims"))
    text = shows(browser, "flatnce/small", "flatnce/large", "verdict")
    assert {"reproduced", "contradicted"} <= set(text.split()), "each claim's verdict is a column"


def test_two_methods_can_be_compared_side_by_side(page, results: Path) -> None:
    browser, port = page
    browser.get(comparison_url(results, port, "flatnce · batch_size=8", "infonce · batch_size=8"))
    text = shows(browser, "Parallel Coordinates Plot", "flatnce · batch_size=8", "infonce · batch_size=8", "0.90167")
    opened = text[text.index("Parameters:") : text.index("Run details")].split()
    assert opened[:4] == ["Parameters:", "method", "Metrics:", "accuracy"], "method against accuracy, as it opens"
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if "Uncaught" in message] == []
