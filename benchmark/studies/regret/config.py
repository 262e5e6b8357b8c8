"""The config of a regret study. It cannot be changed, and its keys fit together, or it is refused."""

from typing import Self

from pydantic import model_validator

from lrladder.benchmark.config.lab import HERE
from lrladder.benchmark.config.text import parse_yaml, read_preset, suggest, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.benchmark.studies.regret.entries import ORACLE, RESERVED, EntryConfig
from lrladder.benchmark.studies.regret.keys import RegretKeys
from lrladder.benchmark.studies.regret.recipes import (
    DEFAULT,
    label_of,
)
from lrladder.benchmark.studies.tied import require_no_embedding, require_no_embedding_rule
from lrladder.benchmark.studies.unused import require_used
from lrladder.paradigms.settings import TuningSettings

_OF_SEARCH = {"lr_guess", "factor", "points", "max_extensions", "seeds", "proxy"}  # settings that change its runs


class RegretConfig(RegretKeys):
    """One study that measures regrets. A config whose keys contradict each other is refused."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [rung.name for rung in self.ladder.rungs]
        if len(set(names)) < len(names):
            raise ValueError("ladder.rungs: two rungs have the same name; rename one")
        if self.simulated is not None and self.lab != HERE:
            raise ValueError("lab: losses that are simulated are trained nowhere; remove lab or simulated")
        self._check_parts()
        self._check_entries()
        self._check_tied()
        for rung in self.rungs:
            for label in self.arms:
                self._check_rung(rung, rung.schedule(self.schedule_of(label)))
        self._check_distinct()
        return self

    def _check_parts(self) -> None:
        proxies, aims = self.rungs.proxies, (*self.rungs.targets, *self.rungs.goals)
        if not proxies or not aims:
            raise ValueError("ladder.rungs: at least one proxy and one target or goal are needed; add what is missing")
        largest = max(proxies, key=lambda rung: rung.n_active)
        for rung in aims:
            if rung.n_active <= largest.n_active:
                raise ValueError(
                    f"{rung.part} {rung.name} (n_active {rung.n_active:,}) is not larger than "
                    f"proxy {largest.name} ({largest.n_active:,}); make it larger, or make it a proxy"
                )
        given = {
            "base": self.base_rung,
            **{f"parametrizations.{name}.base": one.base for name, one in self.parametrizations.items()},
            **{f"entries.{name}.proxy": getattr(one.settings, "proxy", None) for name, one in self.entries.items()},
        }
        for key, rung_name in given.items():
            if rung_name is not None and rung_name not in {rung.name for rung in proxies}:
                raise ValueError(f"{key}: {rung_name!r} is not a proxy rung; name one that is")

    def _check_entries(self) -> None:
        if DEFAULT in self.schedules:
            raise ValueError(
                f"schedules.{DEFAULT}: this name means the study's own schedule; set that one under the key schedule"
            )
        for name, entry in self.entries.items():
            where = f"entries.{name}"
            if name in RESERVED or name.startswith(ORACLE):
                raise ValueError(f"{where}: the name is taken by the study's own runs; choose another")
            if entry.parametrization not in self.parametrizations:
                known = suggest(entry.parametrization, list(self.parametrizations))
                raise ValueError(
                    f"{where}.parametrization: there is no parametrization {entry.parametrization!r}{known}"
                )
            for schedule in (entry.schedule, entry.search_schedule or entry.schedule):
                if schedule not in (DEFAULT, *self.schedules):
                    known = suggest(schedule, [DEFAULT, *self.schedules])
                    raise ValueError(f"{where}.schedule: there is no schedule {schedule!r}{known}")
            self._check_tuning(where, entry)
            self._check_read(where, entry)
            self._check_role_search(where, entry)
        for arm in self._arms():
            if self.arms[label_of(arm)] != arm:
                raise ValueError(
                    f"parametrizations, schedules: two pairs of a parametrization and a schedule would be named "
                    f"{label_of(arm)!r}; rename one"
                )
        for label in self.arms:
            self._check_fitted(label)
            self.oracle_guess(label)
        for label in self.validation.oracles or ():
            if label not in self.arms:
                raise ValueError(f"validation.oracles: no entry uses {label!r}{suggest(label, list(self.arms))}")

    def _check_tied(self) -> None:
        architecture = self.ladder.architecture
        require_no_embedding(architecture, self.optimizer, self.recipe)
        require_no_embedding_rule(
            architecture,
            {arm.parametrization: self.parametrizations[arm.parametrization].rules for arm in self._arms()},
        )

    def _check_role_search(self, where: str, entry: EntryConfig) -> None:
        """Refuses a search of LRs by role, about a role that the models do not have."""
        search, shape = getattr(entry.settings, "role_search", None), self.rungs[0].shape  # all rungs have its roles
        for role in search.roles if search else ():
            if role not in shape.roles:
                raise ValueError(
                    f"{where}.role_search.roles: the models have no parameters of the role {role!r}; "
                    f"choose from {', '.join(shape.roles)}"
                )

    def _check_tuning(self, where: str, entry: EntryConfig) -> None:
        if isinstance(entry.settings, TuningSettings) and entry.settings.seed in self.validation.seeds:
            raise ValueError(
                f"{where}.seed: {entry.settings.seed} is in validation.seeds, with which the entry is scored; "
                "give another seed"
            )

    def _check_read(self, where: str, entry: EntryConfig) -> None:
        schedule = self._schedule(entry.searched.schedule)
        if entry.read == "ema" and not schedule.has_trunk:
            raise ValueError(
                f"{where}.read: a {schedule.kind} schedule has no trunk whose weights could be averaged; remove read"
            )
        if entry.read == "ema" and self.lab.has("proxy"):
            raise ValueError(
                f"{where}.read: an average of the weights is read by our own trainer alone; remove read, or lab"
            )

    def _check_fitted(self, label: str) -> None:
        """Refuses a fitted horizon rule whose exponent would not be one number, found by one search of muTransfer."""
        if self.rules_of(label).horizon != "fitted":
            return
        own = {name: e for name, e in self.entries.items() if label_of(e.arm) == label}
        others = [name for name, e in own.items() if e.paradigm != "mutransfer"]
        searches = {(e.searched, str(e.settings.model_dump(include=_OF_SEARCH))) for e in own.values()}
        if others or len(searches) > 1:
            raise ValueError(
                f"parametrizations: {label} has a fitted horizon rule, whose exponent comes from one search of "
                f"muTransfer; give {(others or list(own))[-1]} another parametrization"
            )

    def _check_rung(self, rung: Rung, schedule: ScheduleConfig) -> None:
        where = f"rung {rung.name}"
        if rung.batch_tokens % rung.shape.seq_len:
            raise ValueError(
                f"{where}: batch_tokens {rung.batch_tokens} is not a multiple of seq_len; change one of them"
            )
        for horizon in rung.read:
            if schedule.decay_start(horizon, rung.batch_tokens) <= schedule.warmup_tokens:
                raise ValueError(
                    f"{where}: the decay for horizon {horizon} begins before the warm-up of "
                    f"{schedule.warmup_tokens} tokens is over; lengthen the horizon or lower warmup_tokens"
                )
            if horizon % rung.batch_tokens:
                raise ValueError(
                    f"{where}: horizon {horizon} is not a multiple of batch_tokens {rung.batch_tokens}; change one"
                )
            schedule.require_decay(horizon, rung.batch_tokens, where=where)
        if rung.continued and (rung.part != "target" or min(rung.continued) <= max(rung.horizons)):
            raise ValueError(
                f"{where}: continued may only list horizons beyond the longest one of a target; correct or remove it"
            )
        if rung.continued and not schedule.has_trunk:
            raise ValueError(
                f"{where}: a {schedule.kind} schedule ends at its horizon, so nothing can be continued; remove it"
            )

    def _check_distinct(self) -> None:
        """Refuses a list that has a value twice, because one run would count as two."""
        lists: dict[str, tuple[object, ...]] = {
            "validation.seeds": self.validation.seeds,
            "validation.oracle_seeds": self.validation.sweep_seeds,
            **{f"rung {rung.name}: horizons": rung.read for rung in self.rungs},
        }
        for name, entry in self.entries.items():
            lists[f"entries.{name}.seeds"] = getattr(entry.settings, "seeds", ())
            roles = getattr(entry.settings, "role_search", None)
            lists[f"entries.{name}.role_search.roles"] = roles.roles if roles else ()
        for key, values in lists.items():
            if isinstance(values, tuple) and len(set(values)) < len(values):
                raise ValueError(f"{key}: a value is given twice; give each value once")
        if extra := sorted(set(self.validation.sweep_seeds) - set(self.validation.seeds)):
            raise ValueError(
                f"validation.oracle_seeds: {extra[0]} is not in validation.seeds; add it there or remove it here, "
                "because regret compares runs of the same seed"
            )


def load_config(preset: str) -> RegretConfig:
    """The config of a preset, given by name, or of a YAML file, given by path.

    Raises InputError with one line that names the key.
    """
    return parse_config(read_preset(preset), source=preset)


def parse_config(text: str, *, source: str) -> RegretConfig:
    """The config in a YAML text. `source` names the file in messages. Raises InputError as `load_config` does."""
    data = parse_yaml(text, source=source)
    if (kind := data.pop("kind", "benchmark")) != "benchmark":
        raise InputError(
            f"{source}: kind: this is a study of kind {kind!r}, but this command takes only the kind benchmark; "
            "`plan` and `run` take the other kinds too"
        )
    config = validate(RegretConfig, data, source=source)
    require_used(config, source=source)
    return config
