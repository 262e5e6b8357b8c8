"""The model that a user wants the LR for: a rung of the study's ladder, sizes, or a number of parameters alone."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import ValidationError

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.ladder import Rung as LadderRung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape, nearest_divisor
from lrladder.paradigms.published import FLOPS_PER_PARAMETER


class Wanted(NamedTuple):
    """The request of the user. It names a rung, or model sizes by the field names of ModelShape, or only `n_active`.

    Missing sizes are those of the ladder, and expert widths keep their ratio to the width. With an `architecture`, the
    answer is refused if the study's models have another one; without it, theirs is meant. `n_total` goes with
    `n_active`; without it, the model is as sparse as the only goal of the study, or dense if there is none. If a rung
    is named and `tokens` or `batch_tokens` is None, that of the rung is used. If no model is named, the only goal of
    the study is meant. With `force` there is an answer at any distance.
    """

    entry: str | None = None
    rung: str | None = None
    sizes: Mapping[str, int | None] = {}
    architecture: Architecture | None = None
    n_active: int | None = None
    n_total: int | None = None
    tokens: int | None = None
    batch_tokens: int | None = None
    force: bool = False


class Bare(NamedTuple):
    """A model with only its active parameters known. Its FLOPs do not include head and attention scores."""

    name: str
    part: Literal["target"]
    n_active: int
    n_total: int
    batch_tokens: int
    horizons: tuple[int, ...]

    @property
    def flops_per_token(self) -> int:
        return FLOPS_PER_PARAMETER * self.n_active


def wanted_rung(config: RegretConfig, wanted: Wanted) -> LadderRung | Bare:
    """The requested model, with its batch and its single horizon."""
    ways = {"--rung": wanted.rung, "--width and --depth": wanted.sizes, "--n-active": wanted.n_active}
    given = [way for way, value in ways.items() if value]
    if wanted.n_total is not None and wanted.n_active is None:
        raise InputError("--n-total says how sparse a model of --n-active is; give both, or neither")
    if not given and len(config.rungs.goals) == 1:
        return _named_rung(config, config.rungs.goals[0].name, wanted)
    if len(given) != 1:
        what = " and ".join(given) + " exclude each other" if given else "no model is named"
        raise InputError(f"{what}: give one of --rung, --width and --depth, or --n-active")
    if wanted.rung is None and wanted.tokens is None:
        raise InputError("--tokens is missing; give the number of tokens that the model will be trained on")
    if wanted.rung is not None:
        return _named_rung(config, wanted.rung, wanted)
    assert wanted.tokens is not None
    if wanted.n_active is not None:
        return Bare("own", "target", wanted.n_active, _total(config, wanted), _batch(config, wanted), (wanted.tokens,))
    shape = _shape(config, wanted.sizes)
    _require_architecture(config, wanted.architecture)
    return _as_known(config, LadderRung("own", "target", shape, _batch(config, wanted), (wanted.tokens,)))


def _total(config: RegretConfig, wanted: Wanted) -> int:
    """Parameters with all experts of a model that has `n_active` active ones."""
    assert wanted.n_active is not None
    if wanted.n_total is not None and wanted.n_total < wanted.n_active:
        raise InputError(
            f"--n-total {wanted.n_total:,} is less than --n-active {wanted.n_active:,}; correct one of them"
        )
    goals = config.rungs.goals
    as_sparse = goals[0].n_total / goals[0].n_active if len(goals) == 1 else 1.0
    return wanted.n_total or round(wanted.n_active * as_sparse)


def _require_architecture(config: RegretConfig, asked: Architecture | None) -> None:
    """Raise InputError if the user's model computes something else than the models of the study."""
    ours = config.base.shape.architecture
    if asked is None or asked == ours:
        return
    names = [name for name in type(ours).model_fields if getattr(asked, name) != getattr(ours, name)]
    differ = ", ".join(f"{name} {getattr(asked, name)} (the study: {getattr(ours, name)})" for name in names)
    raise InputError(f"the model differs from the study's models in {differ}; design a study for this model")


def _as_known(config: RegretConfig, own: LadderRung) -> LadderRung:
    """The run under the name of the rung that it is, if the study has it: some entries answer for those alone."""
    for rung in config.rungs:
        if (rung.shape, rung.batch_tokens) == (own.shape, own.batch_tokens) and own.horizons[0] in rung.horizons:
            return own._replace(name=rung.name)
    return own


def _named_rung(config: RegretConfig, name: str, wanted: Wanted) -> LadderRung:
    if name not in {rung.name for rung in config.rungs}:
        known = ", ".join(rung.name for rung in config.rungs)
        raise InputError(f"--rung {name!r} is not in the ladder; use one of {known}")
    rung = config.rungs.rung(name)
    tokens = wanted.tokens or max(rung.horizons)
    return rung._replace(horizons=(tokens,), batch_tokens=wanted.batch_tokens or rung.batch_tokens)


def _batch(config: RegretConfig, wanted: Wanted) -> int:
    """Tokens of one step. They are never guessed, because the best LR changes with them."""
    if wanted.batch_tokens is None:
        known = f"the study's base takes {config.base.batch_tokens:,}"
        raise InputError(f"--batch-tokens is missing: how many tokens will one step take? ({known})")
    return wanted.batch_tokens


def _shape(config: RegretConfig, sizes: Mapping[str, int | None]) -> ModelShape:
    ladder, width = config.ladder, sizes.get("width")
    if width is None or "depth" not in sizes:
        raise InputError("--width and --depth describe a model together; give both")
    own = {
        **config.base.shape.model_dump(),
        "expert_width": max(1, round(ladder.expert_ratio * width)),
        "shared_width": round(ladder.shared_ratio * width),
        **_heads(config.base.shape, width),
        **_ranks(config.base.shape, width),
        **sizes,
    }
    has_shared = bool(config.base.shape.shared_width)
    if bool(own["shared_width"]) != has_shared:
        told = "a shared expert; give more than 0" if has_shared else "no shared expert; leave it out"
        raise InputError(f"--shared-width: the study's models have {told}")
    try:
        return ModelShape.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"--{str(part).replace('_', '-')}: " for part in first["loc"])
        raise InputError(key + first["msg"].removeprefix("Value error, ")) from error


def _ranks(base: ModelShape, width: int) -> dict[str, int]:
    """The ranks of latents in the proportions of the base, if it has them."""
    given = {"kv_rank": base.kv_rank, "q_rank": base.q_rank}
    return {name: max(1, round(rank * width / base.width)) for name, rank in given.items() if rank is not None}


def _heads(base: ModelShape, width: int) -> dict[str, int]:
    """The numbers of heads in the proportions of the base, if its heads are given."""
    if base.heads is None:
        return {}
    heads = max(1, round(base.heads * width / base.width))
    if base.kv_heads is None:
        return {"heads": heads}
    return {"heads": heads, "kv_heads": nearest_divisor(heads, base.num_kv_heads * width / base.width)}
