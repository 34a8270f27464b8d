"""An asv environment that borrows all packages from the one asv runs in, and adds only the commit's own code.

asv would otherwise download and install torch for each commit. Here an environment is an empty virtual one whose
``.pth`` file names, in this order, a folder with the checked-out commit's packages, the folders of the calling
environment, and what ``.pth`` files in these add: packages that are installed in place, such as a plugin under
development. The project's own ``.pth`` file is left out, as it would add the working tree's packages.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asv.environment import Environment

#: The file that lends packages to an environment.
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
        """Whether it exists and borrows from this calling environment."""
        file = self._site / _PTH
        return (Path(self._path) / "bin/python").exists() and file.is_file() and file.read_text() == self._pth_text()

    def _setup(self) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self._path], check=True)
        (self._site / _PTH).write_text(self._pth_text())

    def run(self, args: list[str], **kwargs: Any) -> Any:
        """Run its Python with these arguments."""
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

    def _pth_text(self) -> str:
        folders = [Path(p) for p in sys.path if re.fullmatch(r"(site|dist)-packages", Path(p).name)]
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["name"]
        return "\n".join([str(self._own), *lent_lines(folders, without=project)]) + "\n"


def lent_lines(folders: Sequence[Path], without: str) -> list[str]:
    """Lines of a ``.pth`` file that add site folders, and what ``.pth`` files in these add, ``without`` a project's.

    Python reads ``.pth`` files in its own site folders only, not in folders that another ``.pth`` file names.
    """
    left_out = {
        Path(str(file.locate())).resolve()
        for distribution in importlib.metadata.distributions(name=without, path=[str(f) for f in folders])
        for file in distribution.files or ()
        if file.suffix == ".pth"
    }
    lines = [str(folder) for folder in folders]
    for folder in folders:
        for file in sorted(folder.glob("*.pth")):
            if file.resolve() in left_out:
                continue
            for line in file.read_text().splitlines():
                if line.startswith(("import ", "import\t")):
                    lines.append(line)
                elif line.strip() and not line.startswith("#"):
                    lines.append(str(folder / line.rstrip()))
    return lines


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
