"""The command that shows how far a study is."""

import json
import time
from typing import Annotated

import typer

from lrladder.benchmark.commands.collector import paused_collector
from lrladder.benchmark.commands.options import AsJson, Folder

app = typer.Typer()


@app.command(epilog="Example: lrladder status runs/cpu --watch")
def status(
    folder: Folder,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Update the view until the study ends, or until Ctrl-C, which leaves the study running."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a study is: runs by how they ended, what runs now, the best LRs so far, and what is missing."""
    with paused_collector():
        from lrladder.benchmark.studies.watcher import Watcher

        watcher = Watcher(folder)
        if as_json and not watch:
            print(json.dumps(watcher.look().to_dict()))
            return
        from lrladder.benchmark.commands import status_view as views
        from lrladder.benchmark.console import make_console

        if not watch:
            make_console().print(views.view(watcher.look(), time.time()))
            return
    views.watch(watcher, make_console())
