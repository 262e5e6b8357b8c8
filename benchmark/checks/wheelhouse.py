"""Checks that a wheelhouse, a folder of downloaded packages, is sufficient for an installation without network."""

import re
from pathlib import Path

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import CONFIG_BYTES, read_text, why

SOURCES = ("megablocks", "grouped_gemm")  # source archives, compiled on the GPU machine


def missing(folder: Path) -> list[str]:
    """Requirements (name and version) that have no file. Raises InputError for a folder that is not a wheelhouse."""
    wanted = folder / "requirements.txt"
    if not wanted.is_file():
        raise InputError(f"--wheelhouse: {wanted} does not exist; `make wheelhouse` writes it")
    held = {_key(name) for path in folder.iterdir() if (name := _package(path.name))}
    try:
        text = read_text(wanted, CONFIG_BYTES)
    except (OSError, ValueError) as error:
        again = "`make wheelhouse` writes it"
        raise InputError(f"--wheelhouse: {wanted} cannot be read ({why(error)}); {again}") from error
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    absent = [line for line in lines if "==" in line and _key(tuple(line.split("==", 1))) not in held]
    names = {name for name, _ in held}
    return absent + [name for name in SOURCES if _normal(name) not in names]


def _package(file: str) -> tuple[str, str] | None:
    """Name and version of a wheel or source archive; None for other files."""
    found = re.match(r"(.+?)-(\d[^-]*?)(?:-.*\.whl|\.tar\.gz|\.zip)$", file)
    return (found[1], found[2]) if found else None


def _key(package: tuple[str, ...]) -> tuple[str, str]:
    name, version = package
    return _normal(name), version


def _normal(name: str) -> str:
    """The name of a package, normalized as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
