"""Arguments that no run can have: one line that names the option; nothing that a terminal would obey is printed."""

from pathlib import Path

import pytest
import yaml

from lrladder.benchmark.studies.regret.config import load_config
from tests.faults.refusals import Refusals
from tests.reports.synthetic import build_results

POWER = ("schedule", "power", "--tokens", "1e9", "--batch-tokens", "1000")
WSD = ("schedule", "wsd", "--tokens", "100000", "--batch-tokens", "1000")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*POWER, "--b", "nan"), "--b nan"),
        ((*POWER, "--b=-400"), "--b -400"),
        ((*POWER, "--b", "0"), "--b 0"),
        ((*POWER, "--b", "inf"), "--b inf"),
        ((*POWER, "--b=-1e-9"), "no finite LR follows"),
        ((*POWER, "--a", "1e300"), "--a 1e+300: must be above zero, finite and at most 1e+30"),
        ((*POWER, "--a", "1e30", "--lr-max", "1e-30", "--b=-0.001"), "no finite LR follows"),
        (("schedule", "wsd", "--tokens", "1e308", "--batch-tokens", "1", "--lr", "1"), "--tokens 1e+308"),
        (("schedule", "wsd", "--tokens", "1e18", "--batch-tokens", "1", "--lr", "1"), "--tokens 1,000,000,"),
        (("schedule", "wsd", "--tokens", "1e-20", "--batch-tokens", "1", "--lr", "1"), "--batch-tokens 1"),
        ((*WSD, "--lr", "1e308"), "--lr 1e+308"),
        ((*WSD, "--lr", "1e-320"), "--lr"),
        ((*WSD, "--lr", "1", "--warmup-tokens", "1e29"), "--warmup-tokens"),
        ((*WSD, "--lr", "1", "--decay-fraction", "nan"), "--decay-fraction"),
        ((*WSD, "--lr", "1", "--decay-to", "nan"), "--decay-to"),
        (("plan", "smoke", "--tflops", "1e-308"), "--tflops"),
        (("doctor", "--parametrization", "smoke", "--lr", "nan"), "--lr nan"),
        (("plan", "\x1b[2Jx"), "\\x1b[2Jx"),
        (("plan", "\x1b[2Jx.yaml"), "\\x1b[2Jx"),
        (("status", "\x1b[2Jx"), "\\x1b[2Jx"),
        (("fit", "\u202ex"), "\\u202ex"),
        (("plan", "x" * 10_000), "xxx"),
    ],
)
def test_one_line_that_names_the_option(arguments: tuple[str, ...], says: str, refused: Refusals) -> None:
    line = refused(*arguments)
    assert says in line
    assert line.isprintable() and len(line) < 1100


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rung", "t48x4", "--tokens", "1e-9"), "--tokens 1e-09: give a whole number from 1"),
        (("--n-active", "1e-9", "--tokens", "1e9"), "--n-active 1e-09: give a whole number"),
        (("--rung", "t48x4", "--batch-tokens", "0.1"), "--batch-tokens 0.1: give a whole number"),
        (("--width", "9" * 30, "--depth", "2", "--tokens", "1e9"), "--width: "),
        (("--width", "16", "--depth", "1000000000", "--tokens", "1e9"), "--depth: "),
        (("--rung", "\x1b[2J", "--tokens", "1e9"), "--rung "),
    ],
)
def test_recommend(arguments: tuple[str, ...], says: str, tmp_path: Path, refused: Refusals) -> None:
    results = build_results(config=load_config("smoke").model_dump(mode="json"))
    (tmp_path / "results.json").write_text(results.to_json())
    line = refused("recommend", str(tmp_path), *arguments)
    assert says in line and line.isprintable()


@pytest.mark.parametrize("key", ["\x1b[2J", "\u202e", "a\nb", "\x7f"])
def test_keys_and_values_of_configs_and_tables_are_escaped(key: str, tmp_path: Path, refused: Refusals) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({key: key, "name": key}))
    assert refused("plan", str(tmp_path / "x.yaml")).isprintable()
    (tmp_path / "x.csv").write_text(f"n_params,tokens,lr,loss,family\n{key},1,1,1,1\n")
    assert refused("fit", str(tmp_path / "x.csv")).isprintable()
