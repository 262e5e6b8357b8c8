"""Brings the corpus to a machine of the cluster, once, and finds it there by its digest.

The folder of the coordinator serves where it is shared, then the machine's own cache. Otherwise the tokens are sent.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lrladder.benchmark.cluster.answer import answer
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import cache_folder, make_private, open_plain
from lrladder.benchmark.training.entry import PARTS, PLACES, Verified, manifest_of, read_manifest, verify
from lrladder.benchmark.training.worker import WorkerSetup

CHUNK = 2**23  # bytes that are sent at a time; assumption

Read = Callable[[str, int], bytes]  # the bytes of a part from an offset on; empty at its end


class CorpusFiles:
    """The tokens as the coordinator has them. An actor beside it."""

    def __init__(self, verified: Verified) -> None:
        self._verified = verified

    def manifest(self) -> dict[str, Any]:
        """The manifest of a copy."""
        return manifest_of(self._verified) | {"paths": PLACES}

    def read(self, part: str, offset: int) -> bytes:
        """At most CHUNK bytes of a part."""
        place = dict(zip(PARTS, self._verified.stamps, strict=True))[part].place
        with (self._verified.entry / place).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)


def arrived(setup: WorkerSetup, files: Any) -> WorkerSetup:
    """The setup with the corpus as it is on this machine. `files` is the actor of CorpusFiles. Raises InputError."""

    def read(part: str, offset: int) -> bytes:
        return bytes(answer(files.read.remote(part, offset)))

    return setup._replace(verified=here(setup.verified, cache_folder(), lambda: answer(files.manifest.remote()), read))


def here(verified: Verified, cache: Path, manifest: Callable[[], dict[str, Any]], read: Read) -> Verified:
    """The corpus on this machine, with the digest of `verified`. Raises InputError if it did not come whole."""
    places = {part: stamp.place for part, stamp in zip(PARTS, verified.stamps, strict=True)}
    sent = cache / f"sent-{verified.digest}"
    make_private(cache)
    for folder, at in ((verified.entry, places), (cache / verified.entry.name, places), (sent, PLACES)):
        if (found := _found(folder, at, verified.digest)) is not None:
            return found
    with os.fdopen(open_plain(cache / f".sent-{verified.digest}.lock", os.O_RDWR), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process of this machine fetches it, and the others wait
        if _found(sent, PLACES, verified.digest) is None:
            _fetch(sent, manifest(), read)
    if (found := _found(sent, PLACES, verified.digest)) is None:
        raise InputError(f"{sent}: the corpus did not arrive whole; remove this folder, and run again")
    return found


def _found(folder: Path, places: Mapping[str, str], digest: str) -> Verified | None:
    """The entry in a folder if it has the digest. All tokens are read."""
    manifest = read_manifest(folder, places)
    if manifest is None or manifest["digest"] != digest:
        return None
    return verify(folder, places, manifest["vocab_size"])


def _fetch(folder: Path, manifest: Mapping[str, Any], read: Read) -> None:
    coming = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    coming.mkdir(mode=0o700)
    for part in PARTS:
        with (coming / PLACES[part]).open("xb") as file:
            while chunk := read(part, file.tell()):
                file.write(chunk)
    (coming / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    if folder.exists():  # damaged
        folder.rename(folder.with_name(f"{coming.name}-damaged"))
    coming.rename(folder)
