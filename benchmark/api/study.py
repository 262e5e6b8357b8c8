"""A study before it runs: read, or designed for the user's own model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lrladder.benchmark.api.model import Goal, Model
from lrladder.benchmark.api.plan import Plan
from lrladder.benchmark.api.spoken import in_python, spoken
from lrladder.benchmark.api.view import view
from lrladder.benchmark.config.text import read_preset
from lrladder.benchmark.design import designed
from lrladder.benchmark.design.layout import Goal as Limits
from lrladder.benchmark.design.simulation import STUDIES, Expected
from lrladder.benchmark.environment import default_workers
from lrladder.benchmark.errors import InputError, require_positive
from lrladder.benchmark.studies.config import StudyConfig
from lrladder.benchmark.studies.kinds import parse_study, plan_of
from lrladder.benchmark.studies.slots import hosts_of, slots_of, with_hosts
from lrladder.benchmark.training.gpus import GpuName, gpus_of


@dataclass(frozen=True)
class Study:
    """A study that can be planned and run. `yaml` is its config, as `lrladder run` takes it.

    For a study of `design`, `expected` says how wide its interval at your model will be; otherwise it is None. `notes`
    say in words what `design` decided.
    """

    yaml: str
    source: str = "the YAML"  # what messages call it
    expected: Expected | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    @spoken
    def read(cls, preset: str | Path) -> "Study":
        """The study of a preset, by its name, or of a YAML file. Raises InputError."""
        study = cls(read_preset(str(preset)), str(preset))
        _ = study.config  # refuse a bad one here
        return study

    @cached_property
    def config(self) -> StudyConfig:
        """The config, checked and with its defaults. Raises InputError."""
        return parse_study(self.yaml, source=self.source)

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.config.name

    @spoken
    def plan(
        self,
        *,
        gpus: int | None = None,
        gpu: GpuName = "h100",
        tflops: float | None = None,
        workers: int | None = None,
    ) -> Plan:
        """Every run with its tokens, FLOPs, memory and time. Nothing is trained.

        The time is for this machine; with `gpus`, for so many GPUs of the kind `gpu`, which every run takes together;
        with `tflops`, for `workers` GPUs that each sustain so many TFLOP/s in bf16. Raises InputError.
        """
        require_positive(gpus=gpus, tflops=tflops, workers=workers)
        if gpus is not None and (tflops is not None or workers is not None):
            raise InputError("gpus plans the time on these GPUs; leave out tflops and workers")
        config = self.config
        hosts = hosts_of(config)
        made = plan_of(
            config,
            workers=workers or slots_of(hosts) or default_workers(),
            flops_per_second=None if tflops is None else 1e12 * tflops,
            gpus=None if gpus is None else gpus_of(gpu, gpus),
        )
        return Plan(with_hosts(made, config, hosts))

    def _repr_html_(self) -> str:
        rungs = ", ".join(f"{rung.name} ({rung.part})" for rung in self.config.rungs)
        return view(f"Study {self.name}", (f"models: {rungs}", *self.notes))


@spoken
def design(
    model: Model,
    goal: Goal,
    *,
    budget: float,
    memory_gib: float = 80.0,
    validation: bool = True,
    name: str = "design",
    studies: int = STUDIES,
) -> Study:
    """A study that finds an LR for your model, with small models in its proportions.

    `budget` is the most that it may cost, in runs of your model. `memory_gib` holds weights, gradients and moments of
    the largest of the small models. With `validation` a quarter of the budget trains a validation target. `studies` of
    the kind are simulated, to say how wide the interval will be. Raises InputError.
    """
    require_positive(budget=budget, memory_gib=memory_gib, studies=studies)
    limits = Limits(model.shape, round(goal.tokens), round(goal.batch_tokens), budget, memory_gib * 2**30, validation)
    found = designed.design(model.public, limits, name=name, studies=studies)
    return Study(found.text, "design", found.expected, tuple(map(in_python, found.words())))
