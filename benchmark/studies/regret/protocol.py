"""What the protocol fixes for every study."""

from lrladder.paradigms.lab import ParametrizationName

ORACLES: tuple[ParametrizationName, ...] = ("sp", "mup")  # those whose LR is swept at the targets
PARAMETRIZATIONS: tuple[ParametrizationName, ...] = (*ORACLES, "mup+power")
