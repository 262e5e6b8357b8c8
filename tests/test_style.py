"""House rules that neither ruff nor mypy knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

MAX_LINES = 40  # of a function, its docstring not counted
PACKAGES = ("benchmark", "models", "paradigms", "reports")


def function_lines(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines, from `def` on, of each function; a nested one counts in the one around it too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1 - _docstring_lines(node)


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None or first.end_lineno is None:
        return 0
    return first.end_lineno - first.lineno + 1


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_is_longer_than_40_lines(package: str) -> None:
    files = sorted(Path(ROOT, package).rglob("*.py"))
    assert files
    long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in files
        for name, lines in function_lines(path.read_text(encoding="utf-8"))
        if lines > MAX_LINES
    }
    assert not long, long


def test_lines_are_counted_without_the_docstring() -> None:
    source = (
        'def outer(\n    a: int,\n) -> int:\n    """Two\n    lines."""\n    def inner(): return a\n\n    return inner()'
    )
    assert dict(function_lines(source)) == {"outer": 6, "inner": 1}


MAX_WIDTH = 120  # characters of a line of prose; tables and code cannot be wrapped
PROSE = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def long_lines(text: str) -> Iterator[int]:
    """Numbers of lines wider than MAX_WIDTH, but for tables, fenced blocks and blocks indented by four spaces."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and len(line) > MAX_WIDTH and not line.lstrip().startswith("|") and not line.startswith("    "):
            yield number


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_lines_of_prose_are_not_too_wide(path: Path) -> None:
    assert not list(long_lines(path.read_text(encoding="utf-8")))


def test_tables_and_code_may_be_wide() -> None:
    wide = "x" * (MAX_WIDTH + 1)
    assert list(long_lines(f"{wide}\n| {wide} |\n    {wide}\n```\n{wide}\n```\n{wide[1:]}\n{wide}")) == [1, 8]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_the_rule_below_the_head_of_a_table_has_a_line_of_its_own(path: Path) -> None:
    """An editor that wraps paragraphs can pour the rows of a table into one another."""
    rules = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if "|---" in line]
    assert [rule for rule in rules if set(rule) - set("|-: ")] == []
