"""A sample of tests/faults/growth.py: its smallest study."""

from pathlib import Path

from tests.faults.growth import line, measured


def test_a_study_is_made_through_the_real_executor_and_measured(tmp_path: Path) -> None:
    row = measured(tmp_path / "1", 1)
    assert row.trials > 100 and row.results > 0
    assert 0 < row.page <= 5
    for cost in (row.status, row.report, row.coordinator):
        assert cost.seconds > 0 and cost.megabytes > 0
    assert line(row, None).startswith(f"| {row.trials:,} |")
