"""Commands that write pages from the results in folders."""

from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.commands import completion
from lrladder.benchmark.commands.collector import paused_collector
from lrladder.benchmark.commands.options import Folder
from lrladder.benchmark.console import make_console
from lrladder.benchmark.reading import printable, understood

app = typer.Typer()


@app.command(epilog="Example: lrladder report runs/cpu --pdf")
@paused_collector()
def report(
    folder: Folder,
    pdf: Annotated[
        bool,
        typer.Option("--pdf", help="Also print the report to report/report.pdf. This needs Chromium or Chrome."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write OUT/index.html instead of report/index.html.")] = None,
) -> None:
    """Write the report of a folder again, from its stored results."""
    from lrladder.reports.pages import rewrite
    from lrladder.reports.pdf import print_page, require_browser

    browser = require_browser() if pdf else None  # refuse before the work if there is none
    page = rewrite(folder, out)
    print(printable(str(page)))
    if browser:
        print(printable(str(print_page(page, browser))))


@app.command(epilog="Example: lrladder compare runs/cpu runs/gpu --out compared")
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Two or more folders with results.", autocompletion=completion.folders)
    ],
    out: Annotated[Path | None, typer.Option(help="Write the page OUT/index.html as well.")] = None,
) -> None:
    """Show several benchmarks side by side: scores, conclusions, and the settings in which they differ."""
    from lrladder.reports import owned_page
    from lrladder.reports.compare import page as compare_page
    from lrladder.reports.compare import side_by_side

    if out:
        owned_page.require_own(out, compare_page.COMMAND)
    comparison = side_by_side.load(folders)
    console = make_console()
    with understood(Path(", ".join(map(str, folders)))):
        compare_page.show(comparison, console)
        page = compare_page.write(comparison, out) if out else None
    if page:
        console.print(f"Page: {page}", soft_wrap=True, markup=False)


@app.command(epilog="Example: lrladder index runs")
def index(
    folder: Annotated[
        Path, typer.Argument(help="The folder that your studies are in.", autocompletion=completion.folders)
    ],
) -> None:
    """Write FOLDER/index.html, a page with links to all reports below a folder."""
    from lrladder.reports.index.page import write

    page, count = write(folder)
    print(printable(f"{page} lists {count} folder{'' if count == 1 else 's'}"))
