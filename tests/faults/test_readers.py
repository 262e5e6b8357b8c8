"""A sample of tests/faults/readers.py: no file makes a reader fail with anything but a refusal."""

from pathlib import Path

from tests.faults.readers import faults, readers

EACH = 50  # inputs


def test_a_changed_file_is_read_or_refused(tmp_path: Path) -> None:
    found = [fault for reader in readers(tmp_path) for fault in faults(reader, range(EACH))]
    assert not found, found[0].said
