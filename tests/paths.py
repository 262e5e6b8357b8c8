"""Where tests find the checkout, and the data that lies beside it where there is any."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # tests that need it skip where it is not there
TWO_TARGETS = str(ROOT / "tests" / "fixtures" / "two_targets.yaml")  # a regret study that no preset changes
