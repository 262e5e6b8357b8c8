"""Writes the weights of a finished trial as a checkpoint of transformers, and compares the two models' logits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.export.card import card
from lrladder.benchmark.export.chosen import Chosen, choose, weights_of
from lrladder.benchmark.export.given import give
from lrladder.benchmark.export.held import Held, held
from lrladder.benchmark.folders import new_folder, require_free
from lrladder.benchmark.hf.library import library
from lrladder.benchmark.lab.labels import labels_of
from lrladder.benchmark.studies.kinds import kind_of, load_stored_study
from lrladder.benchmark.training.recipe import multipliers
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer

TOLERANCE = 1e-4  # of a logit, or of the largest one if that is above 1; measured in fp32: below 1e-5 (tests/hf)
COMPARED = (2, 64)  # sequences and tokens of each whose logits are compared; assumption: every expert gets some


class Exported(NamedTuple):
    """A written checkpoint. `difference`: the largest of any logit, on random tokens; `largest`: the largest logit."""

    chosen: Chosen
    model_type: str
    difference: float
    largest: float

    @property
    def trial_id(self) -> str:
        """The id of the trial."""
        return self.chosen.trial.id

    @property
    def tokens(self) -> int:
        """The horizon whose weights were written, in tokens."""
        return self.chosen.measurement.horizon

    @property
    def loss(self) -> float:
        """The validation loss of these weights, in nats per token."""
        loss = self.chosen.measurement.loss
        assert loss is not None, "a finished trial has a loss"
        return loss


def export(folder: Path, trial_id: str, out: Path, *, tokens: int | None = None) -> Exported:
    """Write the weights that a trial of a study had after `tokens`, or at its longest horizon, to the new folder `out`.

    Multipliers of the parametrization are folded into the weights. Raises InputError if there are no weights, if no
    class of transformers computes what the model does, or if the checkpoint's logits are others than ours.
    """
    library("export writes through")
    require_free(out, "--out")
    chosen = choose(folder, trial_id, tokens)
    trial, scale = chosen.trial, multipliers(chosen.trial)
    kind = held(trial.shape, f"trial {trial.id}")
    model = our_model(trial.shape, weights_of(folder, chosen), scale)
    with new_folder(out, "--out") as writing:
        write(model, scale, kind, writing)
        exported = Exported(chosen, kind.model_type, *compare(model, writing))
        (writing / "README.md").write_text(_card(folder, exported), encoding="utf-8")
    return exported


def our_model(shape: ModelShape, weights: Mapping[str, Tensor], scale: Mapping[str, float]) -> Transformer:
    """Our model with these weights and multipliers, in fp32."""
    model = Transformer(shape, backend="reference")
    model.load_state_dict(weights)
    model.head_multiplier, model.branch_multiplier = scale[model.multiplied_name], scale["blocks.0.attention.out"]
    return model


def write(model: Transformer, scale: Mapping[str, float], kind: Held, writing: Path) -> None:
    """Write config.json and model.safetensors of their model of a kind, with our parameters times their `scale`."""
    transformers = library("export writes through")
    config = transformers.CONFIG_MAPPING[kind.model_type].from_dict(kind.keys)
    peer = transformers.AutoModelForCausalLM.from_config(config).float()
    give(model, peer, scale)
    peer.save_pretrained(writing)


@torch.no_grad()
def compare(model: Transformer, written: Path) -> tuple[float, float]:
    """The largest difference of a logit between our model and what was written, and our largest logit.

    Raises InputError if it is above the tolerance.
    """
    peer: Any = library("export reads through").AutoModelForCausalLM.from_pretrained(written).eval()
    sequences, length = COMPARED
    generator = torch.Generator().manual_seed(0)
    size = (sequences, min(length, model.shape.seq_len))
    tokens = torch.randint(model.shape.vocab_size, size, generator=generator)
    ours, theirs = model(tokens).logits, peer(input_ids=tokens, use_cache=False).logits.float()
    difference, largest = (ours - theirs).abs().max().item(), ours.abs().max().item()
    if not difference <= TOLERANCE * max(1.0, largest):
        raise InputError(
            f"the checkpoint's logits differ from ours by up to {difference:.2g}, where {TOLERANCE:g} of the largest, "
            f"{largest:.3g}, is allowed, so nothing was written; install transformers as in constraints.txt"
        )
    return difference, largest


def _card(folder: Path, exported: Exported) -> str:
    study, trial = load_stored_study(folder), exported.chosen.trial
    labels = labels_of(trial, study, kind_of(study).names_of(study, trial))
    return card(exported.chosen, study.name, labels, difference=exported.difference, largest=exported.largest)
