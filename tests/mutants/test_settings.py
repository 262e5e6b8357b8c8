"""What `make mutants` reads names modules, tests and lines that exist, and every equivalent has its reason."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

HERE = Path(__file__).parent
TESTS: dict[str, str] = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))["tests"]
EQUIVALENT: list[dict[str, str]] = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]


@pytest.mark.parametrize("module", TESTS)
def test_a_module_and_its_tests_exist(module: str) -> None:
    assert (ROOT / module).is_file()
    files = [word for word in shlex.split(TESTS[module]) if word.startswith("tests/")]
    assert files and all((ROOT / name).is_file() for name in files)


@pytest.mark.parametrize("mutant", EQUIVALENT, ids=lambda mutant: re.sub(r"\W+", " ", mutant["after"]))
def test_an_equivalent_changes_a_line_that_is_there_and_says_why(mutant: dict[str, str]) -> None:
    lines = [line.strip() for line in (ROOT / mutant["module"]).read_text(encoding="utf-8").splitlines()]
    assert mutant["module"] in TESTS and mutant["before"] in lines
    assert mutant["after"] != mutant["before"] and len(mutant["reason"]) > 20
