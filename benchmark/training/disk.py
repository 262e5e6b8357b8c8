"""The planned disk space of the checkpoints of one trial. The logs and the store are small beside it."""

from lrladder.benchmark.lab.trial import Trial

SLOTS = 2  # checkpoint files that are kept of a run; the newest whole one is used, see benchmark/training/sealed.py
MAX_TRUNK = 256 * 2**20  # bytes of a trunk kept for longer horizons; assumption: larger ones are not worth the space
WEIGHTS = "weights"  # folder of a study for the validated weights of its targets
SOURCE = (
    "12 bytes per parameter, with all experts and embeddings: weight and two AdamW moments in fp32, and 4 bytes more "
    "if the weights are averaged. A checkpoint during a decay also holds the trunk, so it takes twice as much"
)
WEIGHTS_SOURCE = "; the weights that `lrladder export` can write, at each horizon of the targets: 4 bytes per parameter"


def state_bytes(trial: Trial) -> float:
    """Bytes of the weights and moments of one run, and of the average of its weights if it has one."""
    parameters = trial.shape.n_total + trial.shape.n_embedding
    return (16.0 if trial.schedule.read == "ema" else 12.0) * parameters


def checkpoint_bytes(trial: Trial) -> float:
    """Bytes of both checkpoints of a running trial during a decay, when they are largest."""
    return SLOTS * 2 * state_bytes(trial)


def trunk_bytes(trial: Trial) -> float:
    """Bytes of the trunk of a finished target run, which is kept so that the run can be extended; 0 if too large."""
    kept = state_bytes(trial) if trial.schedule.has_trunk else 0.0
    return kept if kept <= MAX_TRUNK else 0.0


def weights_bytes(trial: Trial) -> float:
    """Bytes of the weights that a finished run keeps with `training.keep_weights`, at all of its horizons."""
    return 4.0 * (trial.shape.n_total + trial.shape.n_embedding) * len(trial.horizons)
