"""A lab that keeps a record of its measurements."""

from collections.abc import Sequence

from lrladder.paradigms.lab import Lab, Measurement, Request


class Recorder:
    """Records one measurement for each trial, horizon and label."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._seen: dict[tuple[str, str, str, int], Measurement] = {}

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        """As `Lab.measure`, and records what the lab returns."""
        measured = self._lab.measure(requests, payer=payer)
        for trial in measured:
            self._seen.update({(m.rung, m.parametrization, m.trial_id, m.horizon): m for m in trial})
        return measured

    def cost_flops(self, payer: str) -> float:
        return self._lab.cost_flops(payer)

    def flops(self, request: Request) -> float:
        return self._lab.flops(request)

    @property
    def measurements(self) -> list[Measurement]:
        """All measurements so far, in order of arrival."""
        return list(self._seen.values())
