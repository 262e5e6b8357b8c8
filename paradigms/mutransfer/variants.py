"""Variants of muTransfer that compete with it as entries of their own."""

from collections.abc import Sequence

from lrladder.paradigms.lab import Lab, ParametrizationName, Request, Rung
from lrladder.paradigms.mutransfer.horizon_rule import HorizonRule
from lrladder.paradigms.mutransfer.paradigm import MuTransfer, TransferSettings
from lrladder.paradigms.mutransfer.roles import RoleSearchSpec, search_roles
from lrladder.paradigms.sweep.noise import pooled_noise


class MuTransferWithPower(MuTransfer):
    """muTransfer with the Power schedule, which adapts the LR to tokens and batch in place of the study's rules.

    Its proxy sweep is muTransfer's own, because at the base the study's rules change nothing.
    """

    name = "mutransfer+power"
    proposes: ParametrizationName = "mup+power"

    @property
    def horizon_rule(self) -> HorizonRule:
        return "power"


class MuTransferWithRoles(MuTransfer):
    """muTransfer that also searches LR multipliers of whole roles, on the proxy at its best LR.

    The search for that best LR is muTransfer's own.
    """

    name = "mutransfer+modules"

    def __init__(self, settings: TransferSettings, roles: RoleSearchSpec) -> None:
        super().__init__(settings)
        self._roles_spec = roles

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> None:
        super().search(lab, ladder)
        base = max(self._interior)
        lr = self._interior[base].lr_best
        assert lr is not None
        at = [
            Request(self.settings.proxy, self.parametrization, lr, seed, (base,), self.horizon_exponent)
            for seed in self.settings.search.seeds
        ]
        noise = pooled_noise(self.curves.values()).or_assumed
        self.roles = search_roles(lab, at, self._roles_spec, noise, payer=self.name)
