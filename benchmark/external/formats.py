"""Jobs as a file: CSV, JSON lines, or an array of jobs for Slurm's sbatch."""

import csv
import io
import json
import shlex
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lrladder.benchmark.config.text import suggest
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.external.jobs import Cell, Job
from lrladder.benchmark.folders import require_new_or_own, write_result
from lrladder.benchmark.reading import CONFIG_BYTES, read_text, why

Format = Literal["csv", "jsonl", "sbatch"]
MARK = "# Written by `lrladder ask`: one array task for each run that the study wants."
DIRECTIVE = "#SBATCH"
COMMAND = "command"  # the column of launch lines
CSV_HEAD = b"name,trunk,rung"


def is_own(head: bytes) -> bool:
    """Whether a file begins as those do that are written here. An empty one is a file without jobs."""
    is_jsonl = head.startswith(b'{"name": "') and b'"trunk": "' in head
    return not head or is_jsonl or head.startswith(CSV_HEAD) or MARK.encode() in head


def write(jobs: Sequence[Job], out: Path, form: Format, template: str | None) -> None:
    """Replace `out`, if it is free or was written here before. Raises InputError."""
    require_new_or_own(out, "--out", is_own)
    write_result(out, text(jobs, form, template), "--out")


def text(jobs: Sequence[Job], form: Format, template: str | None = None) -> str:
    """The file. `template` is a launch line, or several, with {columns}. Raises InputError for one that has others."""
    rows = [job.row for job in jobs]
    if form == "sbatch":
        if template is None:
            raise InputError("--format sbatch: give your launch line with --template, as in 'train.sh {name} {lr}'")
        return _sbatch(rows, template)
    if template is not None:
        rows = [{**row, COMMAND: filled(template, row).strip()} for row in rows]
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    return _csv(rows)


def _csv(rows: Sequence[dict[str, Cell]]) -> str:
    """A kind of parameter that only some models have, such as a router, has empty cells in the rows of others."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns or CSV_HEAD.decode().split(","), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _sbatch(rows: Sequence[dict[str, Cell]], template: str) -> str:
    lines = template.strip("\n").splitlines()
    directives = [
        line for line in lines if line.startswith(DIRECTIVE)
    ]  # Slurm reads them before the first command only
    body = "\n".join(line for line in lines if not line.startswith(DIRECTIVE))
    if not rows:
        return f"#!/bin/bash\n{MARK}\n# It wants none.\n"
    head = ["#!/bin/bash", f"{DIRECTIVE} --array=0-{len(rows) - 1}", *directives, MARK]
    cases = [f"{place})\n{filled(body, row)}\n;;" for place, row in enumerate(rows)]
    return "\n".join([*head, 'case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]) + "\n"


def read_template(given: str | None) -> str | None:
    """The content of a file of that name, else the text itself."""
    if given is None or "\n" in given or not Path(given).is_file():
        return given
    try:
        return read_text(Path(given), CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"--template {given}: cannot be read ({why(error)}); name another file") from error


def filled(template: str, row: dict[str, Cell]) -> str:
    """A launch line with the values of a job, quoted for the shell. Raises InputError."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"--template: {error}; write {{{{ and }}}} for braces of the shell's own") from error
    made = ""
    for literal, name, spec, conversion in parts:
        made += literal
        if name is None:
            continue
        if name not in row or spec or conversion:
            own = "write {{ and }} for braces of the shell's own"
            raise InputError(f"--template: {{{name}}} is no column of a job{suggest(name, list(row))}; {own}")
        value = row[name]
        made += "" if value is None else shlex.quote(str(value))
    return made
