"""Makes smaller models with the proportions of a large one, and says which proportions could not be kept.

The proportions are: head size; number of experts and top-k; widths of experts, of dense blocks and of latents / width;
attention width / width; depth / width; query heads per key-value head. All can be kept at multiples of width / number
of key-value heads. If that gives too few models, the depth gives way first.
"""

import math
from typing import NamedTuple

from lrladder.models.shape import ModelShape, nearest_divisor

LEAST_EXPERT_WIDTH = 64  # below it the grouped GEMM is mostly launch; assumption
EXPERT_MULTIPLE = 16  # of widths of experts and latents, as the kernels' tiles want it; assumption
MOST_HEAD_SHARE = 0.5  # of the FLOPs of a token; assumption: laws count parameters without the head
BYTES_PER_PARAMETER = 16  # fp32 weight, gradient and AdamW's two moments
MOST_DENSE_SHARE = 0.25  # of the blocks may be dense first ones, but one always may; assumption
LEAST_DEPTH = 3  # blocks; assumption: a law should not depend on models of one or two blocks
ROUNDED = 0.01  # assumption: a proportion that is off by less than this, in ln, counts as kept
WIDTHS = 16  # number of widths that are tried, evenly spread; assumption
RANKS = {"kv_rank": "width of the latent of keys and values", "q_rank": "width of the latent of queries"}


class Proxy(NamedTuple):
    """A smaller model in the proportions of the large one. `gave_way`: the proportions that differ, in words."""

    shape: ModelShape
    gave_way: tuple[str, ...] = ()

    @property
    def head_share(self) -> float:
        """The head's share of the FLOPs of a token."""
        return 6 * self.shape.vocab_size * self.shape.width / self.shape.flops_per_token

    @property
    def state_bytes(self) -> float:
        """Bytes of parameters, gradients and AdamW's moments, without activations."""
        return BYTES_PER_PARAMETER * (self.shape.n_total + self.shape.n_embedding)


def scaled(target: ModelShape, width: int, depth: int) -> Proxy:
    """The model that has this width and depth, and otherwise the proportions of `target` as nearly as it can."""
    ratio = width / target.width
    heads = max(1, round(target.num_heads * ratio))
    expert = _rounded(target.expert_width * ratio)
    sizes: dict[str, int] = {"width": width, "depth": depth, "heads": heads}
    sizes |= {"expert_width": expert, "shared_width": round(target.shared_width * expert / target.expert_width)}
    if target.kv_rank is None:
        sizes["kv_heads"] = nearest_divisor(heads, target.num_kv_heads * ratio)
    else:
        sizes |= {name: _rounded(rank * ratio) for name in RANKS if (rank := getattr(target, name)) is not None}
    if target.dense_blocks and target.dense_width:
        most = max(1, int(MOST_DENSE_SHARE * depth))
        dense = _rounded(target.dense_width * ratio)
        sizes |= {"dense_blocks": min(target.dense_blocks, most), "dense_width": dense}
    shape = target.model_copy(update=sizes)
    return Proxy(shape, tuple(_gave_way(target, shape)))


def _rounded(width: float) -> int:
    return max(1, EXPERT_MULTIPLE * round(width / EXPERT_MULTIPLE))


def _gave_way(target: ModelShape, shape: ModelShape) -> list[str]:
    ratios = {
        "expert width / width": (shape.expert_width / shape.width, target.expert_width / target.width),
        **_optional_ratios(target, shape),
        "attention width / width": (shape.attention_width / shape.width, target.attention_width / target.width),
        "queries per key": (shape.num_heads / shape.num_kv_heads, target.num_heads / target.num_kv_heads),
    }
    found = [
        f"{name} {now:.3g} (target {wanted:.3g})"
        for name, (now, wanted) in ratios.items()
        if abs(math.log(now / wanted)) > ROUNDED
    ]
    if shape.num_dense != target.num_dense:
        found.append(f"dense first blocks {shape.num_dense} (target {target.num_dense})")
    wanted_depth = _depth(target, shape.width)
    if shape.depth != wanted_depth:
        found.append(f"depth {shape.depth} (in proportion {wanted_depth})")
    return found


def _optional_ratios(target: ModelShape, shape: ModelShape) -> dict[str, tuple[float, float]]:
    """Of widths that not every model has."""
    names = {"dense_width": "dense width", **RANKS}
    widths = {told: (getattr(shape, name), getattr(target, name)) for name, told in names.items()}
    return {
        f"{told} / width": (now / shape.width, wanted / target.width)
        for told, (now, wanted) in widths.items()
        if now and wanted
    }


def trainable(target: ModelShape, *, memory_bytes: float, wanted: int) -> list[Proxy]:
    """At least `wanted` smaller models that fit into `memory_bytes`, if there are so many; by active parameters.

    Models with all proportions come first. If there are too few, others are added: first half and twice the depth at
    the same widths, then widths at which other proportions give way.
    """
    least = target.width // math.gcd(target.width, target.num_kv_heads)
    step = least * max(1, target.width // (WIDTHS * least))
    exact = [(width, _depth(target, width)) for width in range(step, target.width, step)]
    deeper = [(width, depth) for width, in_proportion in exact for depth in (in_proportion // 2, 2 * in_proportion)]
    unit = max(target.width // target.num_heads, target.width // (2 * WIDTHS))
    broken = [(width, _depth(target, width)) for width in range(unit, target.width // 2 + 1, unit)]
    found: dict[tuple[int, int], Proxy] = {}
    for tier in (exact, deeper, broken):
        if len(found) >= wanted:
            break
        for width, depth in tier:
            proxy = scaled(target, width, depth)
            if LEAST_DEPTH <= depth <= target.depth and (width, depth) not in found and _fits(proxy, memory_bytes):
                found[width, depth] = proxy
    return sorted(found.values(), key=lambda proxy: proxy.shape.n_active)


def _depth(target: ModelShape, width: int) -> int:
    return max(LEAST_DEPTH, round(target.depth * width / target.width))


def _fits(proxy: Proxy, memory_bytes: float) -> bool:
    wide = proxy.shape.expert_width >= LEAST_EXPERT_WIDTH
    return wide and proxy.head_share <= MOST_HEAD_SHARE and proxy.state_bytes <= memory_bytes
