"""A reader of tests/faults/readers.py with files that atheris changes. `python -m tests.faults.guided CSV -runs=10000`.

atheris is no dependency: `pip install atheris` first. It looks for ways through the code that no input has taken yet,
and ends the process at the first fault, with the input in a file `crash-...` of the working directory.
"""

import random
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lrladder", "yaml"]):
    from lrladder.benchmark.errors import InputError
    from tests.faults.readers import changed, readers


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """A document with other values, or other bytes by atheris."""
    rng = random.Random(seed)
    return changed(data, rng)[:most] if rng.random() < 0.5 else atheris.Mutate(data, most)


def main(name: str, options: list[str]) -> None:
    """Give a reader files until the options of libFuzzer say that it is enough."""
    with tempfile.TemporaryDirectory() as made:
        reader = next(reader for reader in readers(Path(made)) if reader.name == name)

        def read(data: bytes) -> None:
            reader.file.write_bytes(data)
            with suppress(InputError):
                reader.read()

        corpus = reader.file.parent / "corpus"
        corpus.mkdir()
        for place, seed in enumerate(reader.seeds):
            (corpus / str(place)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, "-max_len=20000", str(corpus)], read, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
