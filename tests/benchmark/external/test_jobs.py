"""A row has what a run needs: the LRs are those of our groups, and the schedule is ours."""

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.external import formats
from lrladder.benchmark.external.jobs import Job
from lrladder.benchmark.lab.external import Wanted
from lrladder.benchmark.lab.register import Reading
from lrladder.benchmark.lab.trial import Trial, reference
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import ScheduleConfig, factor
from lrladder.benchmark.training import optimizer
from lrladder.benchmark.training.recipe import kind_of
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import build
from lrladder.models.shape import OF_LATENTS
from tests.benchmark.external.row_schedule import factor_of
from tests.benchmark.trials import BATCH, tiny_trial, wide_shape
from tests.models.shapes import latent_shape, moe_shape, tied_shape

SCHEDULES = {
    "wsd": {},
    "sqrt": {"decay": "sqrt", "decay_to": 0.1},
    "exponential": {"decay": "exponential", "decay_to": 0.01},
    "linear": {"kind": "linear"},
    "cosine": {"kind": "cosine", "decay_to": 0.1},
    "power": {"kind": "power"},
    "constant": {"kind": "constant"},
}


def job_of(trial: Trial) -> Job:
    return Job.of(Wanted(Reading(trial, "t64x2", max(trial.horizons)), "mup", ["fitting", "mutransfer"]))


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_settings_are_those_of_our_groups_with_multipliers_folded_in(tied: bool) -> None:
    shape, base = (tied_shape(width=64, expert_width=64), tied_shape()) if tied else (wide_shape(), moe_shape())
    at = Base(shape=base, batch_tokens=BATCH, tokens=20 * BATCH)
    trial = tiny_trial(shape=shape, base=at, lr=0.0123, role_lrs=(("router", 2.0),))
    model, rules = build(trial.rules, trial.shape, trial.base.shape, backend="reference", embedding_std=1.0, seed=0)
    groups = {id(param): group for group in optimizer.groups(trial, model, rules) for param in group["params"]}  # type: ignore[attr-defined]
    row, kinds = job_of(trial).row, set()
    assert any(rule.forward != 1 for rule in rules.values())
    for name, param in model.named_parameters():
        kind, group, c = kind_of(tag_of(param, name)), groups[id(param)], rules[name].forward
        kinds.add(kind)
        assert row[f"lr_{kind}"] == pytest.approx(group["lr"] * c, rel=1e-12)  # type: ignore[operator]
        assert row[f"weight_decay_{kind}"] == pytest.approx(group["weight_decay"] / c)  # type: ignore[operator]
        assert row[f"eps_{kind}"] == pytest.approx(group["eps"] / c)  # type: ignore[operator]
        std = rules[name].init_std
        assert row[f"init_std_{kind}"] == (None if std is None else pytest.approx(std * c))
    assert row.get("start_norm_final") == (0.5 if tied else None)
    assert {name.removeprefix("lr_") for name in row if name.startswith("lr_")} == kinds
    assert (row["beta1"], row["beta2"]) == optimizer.betas(trial)
    sizes = trial.shape
    assert (row["width"], row["heads"], row["kv_heads"]) == (sizes.width, sizes.num_heads, sizes.num_kv_heads)
    assert row["norm_eps"] == sizes.architecture.norm_eps


@pytest.mark.parametrize("changes", SCHEDULES.values(), ids=SCHEDULES)
def test_the_columns_give_our_schedule_at_every_step(changes: dict[str, object]) -> None:
    schedule = ScheduleConfig(warmup_tokens=150, **changes)  # type: ignore[arg-type]
    trial = tiny_trial(schedule=schedule, horizons=(20 * BATCH,))
    row, at = job_of(trial).row, reference(trial)
    for step in range(20):
        ours = factor(schedule, step * BATCH, batch_tokens=BATCH, horizon=20 * BATCH, at=at)
        assert factor_of(row, step) == pytest.approx(ours, rel=1e-12)


def test_names_are_of_readings_and_jobs_of_a_trunk_share_its_name() -> None:
    both, alone = tiny_trial(), tiny_trial(horizons=(10 * BATCH,))
    assert both.id != alone.id
    assert Reading(both, "t", 10 * BATCH).name == Reading(alone, "t", 10 * BATCH).name
    assert Reading(both, "t", 20 * BATCH).trunk == Reading(alone, "t", 10 * BATCH).trunk
    assert Reading(tiny_trial(seed=1), "t", 10 * BATCH).trunk != Reading(both, "t", 10 * BATCH).trunk
    assert job_of(tiny_trial(schedule=ScheduleConfig(warmup_tokens=64, kind="cosine"))).trunk == ""


def jobs() -> list[Job]:
    return [job_of(tiny_trial(shape=shape)) for shape in (moe_shape(), moe_shape(num_experts=1, top_k=1))]


def test_the_sizes_of_latents_have_columns_where_there_are_latents() -> None:
    shape = latent_shape()
    row = job_of(tiny_trial(shape=shape, base=Base(shape=shape, batch_tokens=BATCH, tokens=20 * BATCH))).row
    assert {name: row[name] for name in OF_LATENTS} == shape.model_dump(include=set(OF_LATENTS))
    assert row["lr_kv_a"] == row["lr"]
    assert set(OF_LATENTS).isdisjoint(jobs()[0].row)


def test_csv_and_json_lines_hold_the_rows() -> None:
    rows = [job.row for job in jobs()]
    as_text = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    read = list(csv.DictReader(io.StringIO(formats.text(jobs(), "csv"))))
    assert [{key: row.get(key, "") for key in one} for one, row in zip(read, as_text, strict=True)] == read
    assert read[1]["lr_router"] == ""
    assert [json.loads(line) for line in formats.text(jobs(), "jsonl").splitlines()] == rows


def test_bash_runs_the_launch_line_of_each_task() -> None:
    template = "#SBATCH --gpus=8\nN=2\necho {name} ${{N}} {wanted_by} {lr}"
    script = formats.text(jobs(), "sbatch", template)
    assert script.splitlines()[1:3] == ["#SBATCH --array=0-1", "#SBATCH --gpus=8"]
    for task, job in enumerate(jobs()):
        done = subprocess.run(
            ["bash", "-c", script], env={"SLURM_ARRAY_TASK_ID": str(task)}, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{job.name} 2 fitting mutransfer {job.recipe.lr}\n"
    assert subprocess.run(["bash", "-c", formats.text([], "sbatch", template)], check=True).returncode == 0


@pytest.mark.parametrize("template", ["{nme}", "{}", "${HOME}", "{name", "{name.__class__}", "{name!r}"])
def test_a_launch_line_with_other_braces_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="--template"):
        formats.text(jobs(), "csv", template)


@pytest.mark.parametrize("form", ["csv", "jsonl", "sbatch"])
def test_only_own_files_are_replaced(tmp_path: Path, form: formats.Format) -> None:
    out = tmp_path / "jobs"
    for wanted in (jobs(), [], jobs()):
        formats.write(wanted, out, form, "train {name}")
    out.write_text("name,lr\nmine,1\n")
    with pytest.raises(InputError, match="was not written by this command"):
        formats.write([], out, form, "train {name}")
    assert out.read_text() == "name,lr\nmine,1\n"
