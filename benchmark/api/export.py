"""The weights of a finished run as a checkpoint of transformers."""

from pathlib import Path

from lrladder.benchmark.api.run import Run
from lrladder.benchmark.api.spoken import spoken
from lrladder.benchmark.export import checkpoint
from lrladder.benchmark.export.checkpoint import Exported


@spoken
def export(study: Run | str | Path, trial: str, out: str | Path, *, tokens: int | None = None) -> Exported:
    """Write the weights of a finished trial to the new folder `out`, for transformers' `from_pretrained`.

    `study` is a Run or its folder; it must have kept weights (`training: {keep_weights: targets}`). `trial` is a
    `trial_id`, or its beginning. `tokens` chooses a horizon; by default it is the trial's longest one. Multipliers are
    folded into the weights. What comes back has `trial_id`, `tokens`, `loss`, the `model_type` of transformers, and the
    largest `difference` of a logit from ours. Raises InputError.
    """
    folder = study.folder if isinstance(study, Run) else Path(study)
    return checkpoint.export(folder, trial, Path(out), tokens=tokens)
