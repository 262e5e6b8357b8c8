"""The files around the code name what exists: paths, make targets, and the versions of constraints.txt."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
PYTHONS = ("3.11", "3.12", "3.13")  # of constraints.txt
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
DOCKERFILES = sorted((ROOT / "docs" / "docker").glob("*.Dockerfile"))
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "docker" / "README.md"]


def parsed(path: str | Path) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_pythons_are_those_of_the_pins() -> None:
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_the_citation_is_of_this_version() -> None:
    found = parsed("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(found)  # what version 1.2.0 of the format requires
    assert all(set(author) == {"name"} for author in found["authors"])
    assert (found["version"], found["license"]) == (PROJECT["version"], PROJECT["license"])


def test_the_workflow_calls_what_everybody_calls() -> None:
    job = parsed(".github/workflows/ci.yml")["jobs"]["test"]
    (command,) = [step["run"] for step in job["steps"] if "run" in step]
    assert command == ".ci/run"
    assert os.access(ROOT / command, os.X_OK)
    assert set(job["strategy"]["matrix"]["python"]) <= set(PYTHONS)


def test_commits_are_checked_by_the_pinned_versions() -> None:
    remote, local = parsed(".pre-commit-config.yaml")["repos"]
    assert remote["rev"] == f"v{PINS['ruff']}"
    assert {hook["id"] for hook in remote["hooks"]} == {"ruff-check", "ruff-format"}
    lint = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in local["hooks"]:
        assert hook["entry"].replace(".venv", "$(VENV)") in lint


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_has_what_github_requires(path: Path) -> None:
    form = parsed(path)
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in form["body"])
    assert {field["type"] for field in form["body"]} <= {"textarea", "input", "dropdown", "checkboxes", "markdown"}


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert {path.stem for path in FORMS} == {"bug", "question", "wrong-number"}


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instruction and argument of each line of a Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_names_what_exists(path: Path) -> None:
    found = instructions(path)
    assert found[0][0] == "FROM"
    assert {name for name, _ in found} <= {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD"}
    assert f"docker build -f {path.relative_to(ROOT)} " in path.read_text(encoding="utf-8")
    for name, argument in found:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in argument.split()[:-1])
        if name == "RUN":
            assert set(re.findall(r"\bmake ([a-z-]+)$|\bmake ([a-z-]+) [A-Z]", argument)) <= {
                pair for target in TARGETS for pair in ((target, ""), ("", target))
            }
    assert any(argument.startswith("make venv") for name, argument in found if name == "RUN")


def test_images_have_the_python_and_the_cuda_that_we_name() -> None:
    cpu, cuda = (instructions(path)[0][1] for path in DOCKERFILES)
    assert re.fullmatch(r"python:([\d.]+)-slim", cpu)[1] in PYTHONS  # type: ignore[index]
    tested = re.search(r"builds with torch \S+ and CUDA ([\d.]+)\.\s", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert tested
    assert cuda.startswith(f"nvidia/cuda:{tested[1]}.")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_text_names_files_and_targets_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    named = re.findall(r"`((?:benchmark|models|paradigms|reports|docs|\.ci)/[\w./-]*)`", text)
    for name in (*links, *named):
        assert (path.parent / name).exists(), name
    assert set(re.findall(r"^    make ([a-z-]+)", text, re.MULTILINE)) <= TARGETS
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS
    assert all((ROOT / name).exists() for name in re.findall(r"-f (\S+)", text))


def test_the_site_is_built_where_tests_run() -> None:
    """tests/test_site.py is skipped without the builder, which is pinned: mkdocs.yml is of this version."""
    extras = PROJECT["optional-dependencies"]
    assert extras["docs"] == ["zensical"]
    assert "zensical" in extras["test"]
    assert "zensical" in PINS
