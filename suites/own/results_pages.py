"""Run suites and put what ``harness claims`` prints of each into its results page, with commit, machine and duration.

    python suites/own/results_pages.py leaderboard contrastive

Each page ``docs/results/NAME.md`` has two marks; what stands between them is replaced. Records go to ``--results``,
where an interrupted run goes on. MLflow is off.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from harness.numbers import duration
from harness.records.provenance import cpu_name, usable_cores

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- printed by suites/own/results_pages.py -->", "<!-- end of what was printed -->"


def main() -> None:
    """Run each suite that is named and rewrite its page."""
    parser = argparse.ArgumentParser(description="Run suites and put what each prints into its results page.")
    parser.add_argument("suites", nargs="+", metavar="SUITE")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    for suite in arguments.suites:
        page = ROOT / "docs" / "results" / f"{suite}.md"
        text = page.read_text("utf-8")
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            sys.exit(f"{page}: the two marks are needed, once each:\n{BEGIN}\n{END}")
        head, _, rest = text.partition(BEGIN)
        block = _block(suite, arguments.results.resolve())
        page.write_text(f"{head}{BEGIN}\n{block}{END}{rest.partition(END)[2]}", "utf-8")


def _block(suite: str, results: Path) -> str:
    """The suite's claims in full sentences and its answer, and where and when it ran."""
    commit = _git("rev-parse", "--short=10", "HEAD") + " with changes" * bool(
        _git("status", "--porcelain", "harness", "plugins")
    )
    begin = time.monotonic()
    _harness("suite", suite, results)
    took = duration(time.monotonic() - begin)
    printed = _harness("claims", suite, results).strip("\n").splitlines()
    lines = "\n".join(line.rstrip() for line in printed)
    machine = f"{usable_cores()} cores of {cpu_name()}"
    head = f"`harness suite {suite}` at commit {commit}, {machine}, {took} in all; then `harness claims {suite}`:"
    return f"\n{head}\n\n```\n{lines}\n```\n\n"


def _harness(command: str, suite: str, results: Path) -> str:
    """What a command prints. A suite with failed cells has an answer too."""
    words = [sys.executable, "-m", "harness", command, suite, "--results", str(results)]
    environment = {**os.environ, "HARNESS_TRACKING": "off"}
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        sys.exit(ended.stderr)
    return ended.stdout


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
