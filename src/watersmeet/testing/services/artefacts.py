"""What servers are made of, downloaded once into a folder of the user's cache.

An artefact is a folder that either is whole or is not there: it is made beside its place and renamed. Several
processes that want it at once wait for the one that makes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp

from watersmeet.core.errors import UnavailableError

_POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>watersmeet</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>"""
_DEPENDENCY = (
    "<dependency><groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version>{exclusions}</dependency>"
)
_ALONE = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"


def cache() -> Path:
    """The folder of all artefacts: ``WATERSMEET_CACHE``, else one in the user's cache folder."""
    given = os.environ.get("WATERSMEET_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else base / "watersmeet"


def made(name: str, make: Callable[[Path], None]) -> Path:
    """The artefact ``name``; ``make`` is given an empty folder to fill if it is not there yet."""
    target = cache() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            folder = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                make(folder)
                folder.rename(target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return target


def jars(name: str, *coordinates: str, alone: bool = False) -> Path:
    """A folder of Maven artefacts ``group:artefact:version`` with what they need at run time.

    Args:
        name: of the artefact; has the version in it, since one that is there is not looked at again.
        coordinates: what to fetch.
        alone: without what they need.

    Raises:
        UnavailableError: there is no Maven, or it cannot fetch them.
    """

    def make(folder: Path) -> None:
        exclusions = _ALONE if alone else ""
        wanted = "".join(_DEPENDENCY.format(*c.split(":"), exclusions=exclusions) for c in coordinates)
        pom = folder / "pom.xml"
        pom.write_text(_POM.format(name=name.replace("/", "-"), dependencies=wanted))
        goal = ["dependency:copy-dependencies", "-DoutputDirectory=.", "-DincludeScope=runtime"]
        run([tool("mvn", "install Maven"), "-q", "-B", "-f", str(pom), *goal], folder)
        pom.unlink()

    return made(name, make)


def archive(name: str, coordinate: str) -> Path:
    """A folder with what is in a Maven archive ``group:artefact:version:tar.gz:classifier``.

    Raises:
        UnavailableError: there is no Maven, or it cannot fetch it.
    """

    def make(folder: Path) -> None:
        goal = ["dependency:copy", f"-Dartifact={coordinate}", "-DoutputDirectory=."]
        run([tool("mvn", "install Maven"), "-q", "-B", *goal], folder)
        [packed] = folder.glob("*.tar.gz")
        with tarfile.open(packed) as content:
            content.extractall(folder, filter="data")
        packed.unlink()
        # What is packed below one folder, as is usual, is taken out of it.
        inner = list(folder.iterdir())
        if len(inner) == 1 and inner[0].is_dir():
            for item in list(inner[0].iterdir()):
                item.rename(folder / item.name)
            inner[0].rmdir()

    return made(name, make)


def wheel(name: str, requirement: str) -> Path:
    """A Python package, unpacked into a folder of its own without what it depends on."""

    def make(folder: Path) -> None:
        own = Path(sys.executable).with_name("uv")
        uv = str(own) if own.exists() else shutil.which("uv")
        command = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
        run([*command, "--quiet", "--no-deps", "--target", str(folder), requirement], folder)

    return made(name, make)


def tool(name: str, remedy: str) -> str:
    """The path of a program of this machine; `UnavailableError` if there is none."""
    found = shutil.which(name)
    if not found:
        raise UnavailableError(name, expected=f"the program {name}", got="none on PATH", remedy=remedy)
    return found


def java(least: int = 17) -> str:
    """A Java of at least version ``least``: of JAVA_HOME, on PATH, or below the system's folder of them."""
    home = os.environ.get("JAVA_HOME")
    places = [Path(home) / "bin/java"] if home else []
    places += [Path(found)] if (found := shutil.which("java")) else []
    places += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    for place in places:
        if place.exists() and _java_version(place) >= least:
            return str(place)
    raise UnavailableError("Java", expected=f"version {least} or later", got="none", remedy=f"install a JDK {least}")


def run(command: Sequence[str], folder: Path) -> None:
    """Run a command in a folder to its end; `UnavailableError` with its last words if it fails."""
    done = subprocess.run(  # noqa: S603  # commands of this package alone
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-800:]
        raise UnavailableError(Path(command[0]).name, got=said, remedy="look whether its package index can be reached")


def _java_version(place: Path) -> int:
    done = subprocess.run([str(place), "-version"], capture_output=True, text=True, check=False)  # noqa: S603  # a Java
    text = done.stderr.partition('"')[2]
    return int(text.split(".")[0]) if text[:1].isdigit() else 0
