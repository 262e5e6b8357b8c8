"""Shows several studies side by side, on one self-contained page or on the terminal."""

from pathlib import Path

from markupsafe import Markup
from rich.console import Console

from lrladder.benchmark.studies.regret.results import ParadigmResult
from lrladder.benchmark.studies.results import SIMULATED
from lrladder.benchmark.tables import WordTable
from lrladder.reports import formats
from lrladder.reports.compare.figures import regret_by_size
from lrladder.reports.compare.side_by_side import (
    Block,
    Comparison,
    blocks,
    differences,
    frame,
    loss_groups,
    loss_sentence,
)
from lrladder.reports.downloads import download
from lrladder.reports.html import environment
from lrladder.reports.owned_page import mark, write_own

COMMAND = "compare"


def render(comparison: Comparison) -> str:
    """The whole page as text; the same results give the same bytes."""
    studies = comparison.studies
    figure = regret_by_size(studies)
    groups = loss_groups(studies)
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            studies=studies,
            others=comparison.others,
            blocks=blocks(studies),
            differences=differences(studies),
            loss_sentence=loss_sentence(studies),
            one_scale=len(groups) == 1,
            group={label: place for place, names in enumerate(groups, start=1) for label in names},
            simulated=SIMULATED if any(s.results.lab == "simulated" for s in studies) else None,
            figure_svg=Markup(figure) if figure else None,  # our own drawing
            download=download("compare.csv", frame(studies)),
            mark=Markup(mark(COMMAND)),
        )
    )


def write(comparison: Comparison, folder: Path) -> Path:
    """Write folder/index.html. Raises InputError for a page there that is not a comparison."""
    return write_own(render(comparison), folder, COMMAND)


def show(comparison: Comparison, console: Console) -> None:
    """Print a row per target, entry and study, then whether losses can be compared, and the conclusions."""
    title = "Loss above the best LR at each target (regret), within each study [90% interval]"
    heads = ("target", "entry", "study", "LR", "loss, nats", "regret, millinats", "search cost, target runs")
    table = WordTable(title, heads, left=3)
    for block in blocks(comparison.studies):
        _add(table, block, comparison)
        table.add_section()
    console.print(table)
    _say(console, loss_sentence(comparison.studies))
    for study in comparison.studies:
        if study.results.lab == "simulated":
            _say(console, f"{study.label}: {SIMULATED}")
        if not study.results.complete:
            _say(
                console,
                f"{study.label}: the study is not complete; {len(study.results.missing)} of its results are missing",
            )
        for target in study.results.targets:
            _say(console, f"{study.label}, {target.rung} at {target.tokens:,} tokens: {target.conclusion}")
    for other in comparison.others:
        _say(
            console,
            f"{other.label} is of another kind ({other.held.kind}), so it is not compared: {other.held.line}",
        )
    _say(
        console,
        f"The studies differ in {len(differences(comparison.studies))} settings; --out DIR lists them on a page.",
    )


def _add(table: WordTable, block: Block, comparison: Comparison) -> None:
    place = f"{block.place.rung}, {block.place.tokens:,} tokens"
    for row in block.rows:
        for study, found in zip(comparison.studies, row.scores, strict=True):
            if found is not None:
                table.add_row(place, row.paradigm, study.label, *_columns(found))


def _columns(found: ParadigmResult) -> tuple[str, ...]:
    loss = formats.loss(found.loss) + (f" (n={found.n_seeds})" if found.loss is not None else "")
    regret = formats.millinats(found.regret)
    if found.regret_low is not None and found.regret_high is not None:
        regret += f" [{formats.millinats(found.regret_low)}, {formats.millinats(found.regret_high)}]"
    return formats.lr(found.lr), loss, regret, formats.fixed(found.cost_fraction, 2)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
