"""An asv environment that borrows all packages from the one asv runs in and brings only the commit's own code.

asv would else download and install torch for each commit. Here an environment is an empty virtual one whose
``.pth`` file names, in this order, a folder with the checked-out commit's packages and the folders of the calling
environment.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

from asv.environment import Environment

#: Everything about this kind of environment that is written into it.
_PTH = "borrowed.pth"


class Borrowed(Environment):  # type: ignore[misc]  asv has no types
    """A virtual environment without packages of its own."""

    tool_name = "borrowed"

    def __init__(self, conf: Any, python: str, requirements: dict[str, str], tagged_env_vars: dict[Any, str]) -> None:
        # The base class names its folder by these before it stores them.
        self._python, self._requirements = python, requirements
        super().__init__(conf, python, requirements, tagged_env_vars)

    @classmethod
    def matches(cls, python: str) -> bool:
        """Whether this Python, MAJOR.MINOR, is the one asv runs in."""
        return python == f"{sys.version_info.major}.{sys.version_info.minor}"

    def check_presence(self) -> bool:
        """Whether it is there and lends from this calling environment."""
        written = self._site / _PTH
        return (Path(self._path) / "bin/python").exists() and written.is_file() and written.read_text() == self._lent()

    def _setup(self) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self._path], check=True)
        (self._site / _PTH).write_text(self._lent())

    def run(self, args: list[str], **kwargs: Any) -> Any:
        """Start its Python with these arguments."""
        return self.run_executable("python", args, **kwargs)

    def _uninstall_project(self) -> None:
        self._set_installed_commit_hash(None)

    def _build_project(self, repo: Any, commit_hash: str, build_dir: str) -> None:
        """Nothing: the packages are plain Python."""

    def _install_project(self, repo: Any, commit_hash: str, build_dir: str) -> None:  # noqa: ARG002
        lend_packages(Path(build_dir), self._own)

    @property
    def _site(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": self._path}))

    @property
    def _own(self) -> Path:
        return Path(self._path) / "own"

    def _lent(self) -> str:
        theirs = [p for p in sys.path if re.fullmatch(r"(site|dist)-packages", Path(p).name)]
        return "\n".join([str(self._own), *theirs]) + "\n"


def lend_packages(source: Path, into: Path) -> None:
    """Link a checked-out project's packages into a folder, with the entry points that an installation would have."""
    project = tomllib.loads((source / "pyproject.toml").read_text())
    folders = project["tool"]["setuptools"]["package-dir"]
    into.mkdir(exist_ok=True)
    for package, folder in folders.items():
        link = into / package
        link.unlink(missing_ok=True)
        link.symlink_to(source / folder, target_is_directory=True)
    name, version = project["project"]["name"], project["project"]["version"]
    for old in into.glob("*.dist-info/*"):
        old.unlink()
    info = into / f"{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"].get("entry-points", {})
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
