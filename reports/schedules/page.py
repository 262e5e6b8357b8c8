"""The report of a study of schedules: one self-contained HTML page."""

from pathlib import Path

import pandas as pd

from lrladder.benchmark.studies.schedules.config import SchedulesConfig
from lrladder.benchmark.studies.schedules.results import LawFit, SchedulesResults
from lrladder.paradigms.published import POWER_A_FITTED, POWER_B, POWER_D, POWER_SEQ_LEN
from lrladder.reports.downloads import download
from lrladder.reports.formats import fixed
from lrladder.reports.html import environment, figures, write_page
from lrladder.reports.schedules.conclusion import conclusion
from lrladder.reports.schedules.figures import NAMES, best_lrs, over_horizons, regrets
from lrladder.reports.study_page import config_text, measurements

FAMILIES = {"moe": "MoE", "dense": "Dense"}


def write(results: SchedulesResults, folder: Path) -> Path:
    """Write the report to folder/index.html."""
    return write_page(render(results), folder)


def render(results: SchedulesResults) -> str:
    """The whole page as text; the same results give the same bytes."""
    config = SchedulesConfig.model_validate(results.config)
    names = [family.name for family in config.families]
    drawn = {
        name: {
            "best": best_lrs(results, name),
            "horizons": over_horizons(results, name, config.base_batch),
            "regret": regrets(results, name),
        }
        for name in names
    }
    frames = {"cells.csv": cells(results), "measurements.csv": measurements(results)}
    return (
        environment()
        .get_template("power.html.j2")
        .render(
            results=results,
            study=config,
            families=names,
            figures={name: figures(found) for name, found in drawn.items()},
            schedules=NAMES,
            family_names=FAMILIES,
            law_sentences={name: [law_sentence(fit) for fit in results.fits if fit.family == name] for name in names},
            conclusions={name: list(conclusion(results, name)) for name in names},
            downloads=[download(name, frame) for name, frame in frames.items()],
            config=config_text(results),
        )
    )


def law_sentence(fit: LawFit) -> str:
    """Sentences that compare a fit with the published constants."""

    def words(name: str, digits: int) -> str:
        found = getattr(fit, name)
        interval = "" if found.low is None else f" [{fixed(found.low, digits)}, {fixed(found.high, digits)}]"
        return f"{name} = {fixed(found.value, digits)}{interval}"

    if fit.by == "paper":
        how = "By the paper's procedure, on the three best batches of each horizon, the best LR is a · B · T^b with"
        parts = [words("a", 2), words("b", 2)]
    else:
        how = "Fitted to all cells, the best LR goes like T^b · B^w · N^s with"
        parts = [words("b", 2), words("w", 2), words("s", 2)]
    unit = f"B counts sequences of {POWER_SEQ_LEN:,} tokens"
    published = f"The published law has a = {POWER_A_FITTED}, b = {fixed(POWER_D, 2)}, w = {POWER_B:g}"
    flags = f" What weakens this fit: {'; '.join(fit.flags)}." if fit.flags else ""
    return f"{how} {', '.join(parts)} (n = {fit.n} minima). {unit}. {published}.{flags}"


def cells(results: SchedulesResults) -> pd.DataFrame:
    """A table with a row per schedule, model, batch and horizon."""
    return pd.DataFrame([cell.model_dump(exclude={"flags"}) for cell in results.cells])
