"""The README.md of an exported checkpoint: where the weights come from."""

from collections.abc import Sequence

from lrladder.benchmark.export.chosen import Chosen
from lrladder.benchmark.lab.measurement import Label


def card(chosen: Chosen, study: str, labels: Sequence[Label], *, difference: float, largest: float) -> str:
    """Markdown with the study, the trial, its LR and its loss. `difference` and `largest` are of logits."""
    trial, found = chosen.trial, chosen.measurement
    name = " and ".join(map(str, labels)) or "no rung of the study's config"
    error = f" (standard error over documents {found.loss_se:.4f})" if found.loss_se is not None else ""
    weights = "the average of the weights of the run" if trial.schedule.read == "ema" else "the weights after the decay"
    return f"""---
library_name: transformers
tags: [lr-ladder]
---

# Trial {trial.id} of the study {study}

`lrladder export` wrote this checkpoint. It holds {weights}, with which the validation loss was measured.

| | |
|---|---|
| study | {study} |
| trial | {trial.id} ({name}, seed {trial.seed}) |
| LR | {trial.lr:.4g} (peak, before the rules of the parametrization) |
| training | {found.horizon:,} tokens in batches of {trial.batch_tokens:,}, in {trial.precision} |
| validation loss | {found.loss:.4f} nats per token{error} |
| corpus | digest {trial.corpus_digest}, {trial.shape.vocab_size:,} token ids |

The weights are fp32. Multipliers of the parametrization are folded into them, so the model computes what the trial's
did. On random tokens its logits differ from LR Ladder's by at most {difference:.1e}.
The largest logit there is {largest:.2f}.
The token ids are those of the study's corpus; this folder has no tokenizer.
"""
