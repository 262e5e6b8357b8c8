"""Designs a study for a user's own model: its layout, its config as YAML, and the interval to expect."""

from collections.abc import Iterator
from dataclasses import dataclass

from lrladder.benchmark.design.layout import Goal, Layout, lay_out
from lrladder.benchmark.design.public_config import Public
from lrladder.benchmark.design.simulation import STUDIES, Expected, expected
from lrladder.benchmark.design.study_text import lr_guess, lr_spread, study_of, study_text
from lrladder.benchmark.design.words import words
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.training.gpus import GpuName

OCTAVE = 1.0  # a half width, from which an interval is too wide to be of use: a factor of 2 to either side; assumption
TOO_WIDE = "the interval to expect reaches an octave or more to either side; raise --budget"


@dataclass(frozen=True)
class Designed:
    """A study for the user's own model. `text` is its config as YAML, with a comment on what is left to fill in."""

    layout: Layout
    public: Public
    config: RegretConfig
    text: str
    expected: Expected

    @property
    def is_too_wide(self) -> bool:
        """Whether the interval to expect reaches an octave or more to either side."""
        return self.expected.half_width >= OCTAVE

    def words(self, *, gpu: GpuName | None = None, gpus: int = 1) -> Iterator[str]:
        """What was decided and what it costs, one line each. With `gpu` costs are also in days on `gpus` of them."""
        yield from words(self.layout, self.public, self.expected, gpu=gpu, gpus=gpus)
        if self.is_too_wide:
            yield TOO_WIDE


def design(public: Public, goal: Goal, *, name: str = "design", studies: int = STUDIES) -> Designed:
    """Lay out a study called `name`, and simulate `studies` searches of it for the interval to expect.

    Raises InputError if the budget or the memory allows no study.
    """
    layout = lay_out(goal)
    config = study_of(layout, public, name=name)
    found = expected(config, guess=lr_guess(layout), spread=lr_spread(layout), studies=studies)
    return Designed(layout, public, config, study_text(layout, public, name=name), found)
