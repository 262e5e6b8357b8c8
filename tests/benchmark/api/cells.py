"""Runs the cells of a notebook as a notebook does: the value of a last expression is shown.

`python cells.py NOTEBOOK` needs nothing of this checkout, so that the notebook can be run with an installed wheel.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any


def run(notebook: Path) -> dict[str, Any]:
    """The names that the cells define. Every value that a cell shows is shown as text, and as HTML if it has a view."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            _run(ast.parse("".join(cell["source"])), scope)
    return scope


def _run(cell: ast.Module, scope: dict[str, Any]) -> None:
    shown = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
    exec(compile(cell, "cell", "exec"), scope)
    if isinstance(shown, ast.Expr):
        value = eval(compile(ast.Expression(shown.value), "cell", "eval"), scope)
        html = getattr(value, "_repr_html_", lambda: "")()
        print(html or repr(value))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
