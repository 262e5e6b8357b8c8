"""Files with a digest, so that a flipped bit or a torn write is noticed when they are read.

The files of one run are `ID.0.pt` and `ID.1.pt`. The manifest `ID.json` holds their sizes and digests, the newest
first. A new file replaces the older one of the two, and the newer one is not touched before the manifest names the new
file. So a kill or a power cut at any moment leaves at least one whole file.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import Field, NonNegativeInt

from lrladder.benchmark.documents import Document, Frozen
from lrladder.benchmark.folders import make_inner, replace, write_text
from lrladder.benchmark.reading import CONFIG_BYTES, open_for_reading, read_text
from lrladder.benchmark.training.disk import SLOTS
from lrladder.benchmark.training.remote import Copy, copy_of
from lrladder.benchmark.training.shared import ALONE, Sharing, Superseded

DIGEST = "sha256"  # measured on one core with SHA instructions: 1.4 GB/s, and 0.8 GB/s for blake2b


class Entry(Frozen):
    """One file as it was written. `digest` is the SHA-256 of its bytes."""

    name: str
    bytes: NonNegativeInt
    digest: str


class Manifest(Document):
    """What the file ID.json holds."""

    schema_: str = "lrladder.sealed/1"
    entries: tuple[Entry, ...]  # the newest first
    # Which attempt to train the run may write, see `shared.Sharing`
    attempt: NonNegativeInt | None = Field(None, exclude_if=lambda attempt: attempt is None)


class Sealed:
    """The files of one run in `folder`. `say` gets a sentence for each file that is set aside.

    If `sharing` has a URL, what counts is what lies there, and `folder` holds copies of it.
    """

    def __init__(self, folder: Path, run_id: str, say: Callable[[str], None], sharing: Sharing = ALONE) -> None:
        self._folder, self._run_id, self._say, self._attempt = folder, run_id, say, sharing.attempt
        self._copy: Copy = copy_of(folder, sharing.url)
        self._manifest = folder / f"{run_id}.json"
        self._names = [f"{run_id}.{slot}.pt" for slot in range(SLOTS)]

    def claim(self) -> None:
        """Take over the files for this attempt. Raises Superseded if a later one has them."""
        found = self._read()
        if self._attempt is not None and (found.attempt or 0) > self._attempt:
            raise Superseded(f"{self._manifest} belongs to attempt {found.attempt}, and this is {self._attempt}")
        if found.attempt != self._attempt:
            make_inner(self._folder)
            self._publish(found.entries)

    def write(self, save: Callable[[IO[bytes]], Any], *, alone: bool = False) -> None:
        """Write a new file by `save`. With `alone` the other file is removed afterwards. Raises OSError, Superseded."""
        make_inner(self._folder)
        newest = self._own().entries[:1]
        name = next(name for name in self._names if name not in {entry.name for entry in newest})
        entry = _write(self._folder / name, save)
        self._own()  # writing may have taken minutes
        self._copy.push(name)
        self._publish((entry, *(() if alone else newest)))
        for other in self._names if alone else ():
            if other != name:
                (self._folder / other).unlink(missing_ok=True)
                self._copy.remove(other)

    def whole(self) -> Iterator[Path]:
        """The files whose content is as it was written, the newest first. Other files are renamed."""
        for entry in self._read().entries:
            path = self._folder / entry.name
            if _fault(path, entry) is not None:
                self._copy.pull(entry.name)
            if (fault := _fault(path, entry)) is None:
                yield path
            else:
                self.set_aside(path, fault)

    def any(self) -> bool:
        """Whether the manifest names a file, whole or damaged."""
        return bool(self._read().entries)

    def set_aside(self, path: Path, fault: str) -> None:
        """Rename a file that cannot be used, so that it is neither read again nor lost."""
        kept = path.with_name(f"{path.name}.damaged")
        if path.exists():
            os.replace(path, kept)
        self._publish(tuple(entry for entry in self._read().entries if entry.name != path.name))
        self._say(f"{path} {fault}; it was set aside as {kept.name}")

    def _own(self) -> Manifest:
        """The manifest. Raises Superseded unless it belongs to this attempt."""
        found = self._read()
        if found.attempt != self._attempt:
            raise Superseded(f"{self._manifest} belongs to attempt {found.attempt}, and this is {self._attempt}")
        return found

    def _publish(self, entries: tuple[Entry, ...]) -> None:
        write_text(self._manifest, Manifest(entries=entries, attempt=self._attempt).to_json())
        self._copy.push(self._manifest.name)

    def _read(self) -> Manifest:
        """The manifest; an empty one if there is none. A damaged manifest is renamed, and counts as none."""
        self._copy.pull(self._manifest.name)
        try:
            manifest = Manifest.from_json(read_text(self._manifest, CONFIG_BYTES))
            if not {entry.name for entry in manifest.entries} <= set(self._names):
                raise ValueError("it names files of another run")
        except FileNotFoundError:
            return Manifest(entries=())
        except (OSError, ValueError):
            kept = self._manifest.with_name(f"{self._manifest.name}.damaged")
            os.replace(self._manifest, kept)
            self._say(f"{self._manifest} is damaged, so its checkpoints are not used; it was set aside as {kept.name}")
            self._copy.remove(self._manifest.name)
            return Manifest(entries=())
        return manifest


class _Hashed:
    """Writes to a file and digests the bytes before they reach the disk, so that an error on the way is noticed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.bytes = file, hashlib.new(DIGEST), 0

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.bytes += memoryview(data).nbytes
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _write(path: Path, save: Callable[[IO[bytes]], Any]) -> Entry:
    with replace(path) as file:
        hashed: Any = _Hashed(file)
        save(hashed)
    return Entry(name=path.name, bytes=hashed.bytes, digest=hashed.digest.hexdigest())


def _fault(path: Path, entry: Entry) -> str | None:
    """Why a file is not as it was written; None if it is."""
    try:
        with open_for_reading(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry.bytes:
                return f"has {size:,} bytes, but {entry.bytes:,} were written"
            if hashlib.file_digest(file, DIGEST).hexdigest() != entry.digest:
                return "has other bytes than were written"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    return None
