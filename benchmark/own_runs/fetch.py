"""Fetches a file of a public git repository as it was at one commit, and keeps it in the cache.

git itself checks what it fetches: the name of a commit is a digest of all its files. The cache keeps the SHA-256 of the
file, so that damage is noticed later.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_private, write_bytes, write_text
from lrladder.benchmark.reading import read_bytes, why

FOLDER = "published"  # in the cache
MAX_BYTES = 64 * 2**20  # of a file; those of the published sweeps have under 1 MiB
SECONDS = 120  # for one call of git; assumption: the files take seconds
# Without these a call inside another repository, as from a hook, would write there.
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
PATIENCE = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=20")  # bytes per second, seconds


class PublishedFile(NamedTuple):
    """A file in a repository at a commit. `sha256` is its digest, if somebody of us has had its bytes."""

    repository: str  # what git clones from
    commit: str
    path: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.path).name


def fetched(file: PublishedFile, cache: Path) -> Path:
    """The file in the cache, fetched if it is not there or damaged. Raises InputError if it cannot be had."""
    place = cache / FOLDER / file.commit[:12] / file.name
    digest = place.with_name(f"{file.name}.sha256")
    if _is_whole(place, file.sha256 or _read(digest)):
        return place
    data = _from_git(file, place)
    found = hashlib.sha256(data).hexdigest()
    if file.sha256 is not None and found != file.sha256:
        raise InputError(f"{file.repository}: {file.path} has SHA-256 {found}, not {file.sha256}; please report this")
    for folder in (cache, cache / FOLDER, place.parent):
        make_private(folder)
    try:
        write_bytes(place, data)
        write_text(digest, found)
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({why(error)}); name another folder in LRLADDER_CACHE") from error
    return place


def _read(path: Path) -> str | None:
    try:
        return read_bytes(path, 100).decode("ascii")
    except (OSError, ValueError):
        return None


def _is_whole(path: Path, sha256: str | None) -> bool:
    try:
        return sha256 is not None and hashlib.sha256(read_bytes(path, MAX_BYTES)).hexdigest() == sha256
    except (OSError, ValueError):
        return False


def _from_git(file: PublishedFile, place: Path) -> bytes:
    """The bytes of the file. Only this file and the list of all files are fetched."""
    if shutil.which("git") is None:
        raise InputError(f"{file.repository}: git is not installed, which fetches the file; install it")
    with tempfile.TemporaryDirectory(prefix="lrladder-") as folder:
        try:
            _git(folder, "init", "-q", "--bare", ".")
            _git(folder, "remote", "add", "origin", file.repository)
            _git(folder, "fetch", "-q", "--depth", "1", "--filter=blob:none", "origin", file.commit)
            return _git(folder, "cat-file", "blob", f"{file.commit}:{file.path}")
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(
                f"{file.repository} cannot be read ({_reason(error)}); without a network, copy {place.parent} from the "
                "cache of a machine where this command ran"
            ) from error


def _git(folder: str, *arguments: str) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment["GIT_TERMINAL_PROMPT"] = "0"  # never ask for a password
    call = ["git", *PATIENCE, *arguments]
    return subprocess.run(
        call, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=SECONDS
    ).stdout


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """Why git failed: its last line."""
    if isinstance(error, subprocess.CalledProcessError) and error.stderr.strip():
        return str(error.stderr.decode(errors="replace").strip().splitlines()[-1])
    return f"git did not answer within {SECONDS} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
