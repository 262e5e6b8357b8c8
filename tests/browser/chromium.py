"""Open a local page in headless Chromium: the DOM it built, its console, its network."""

import json
import subprocess
import tempfile
from pathlib import Path

from lrladder.reports.pdf import find_browser

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--v=0",
)


def open_in_chromium(path: Path, *, net_log: Path | None = None) -> tuple[str, list[str]]:
    """(DOM after load, console lines). `net_log` additionally records every network event there."""
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError("no chromium or google-chrome on PATH")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [browser, *_FLAGS, f"--user-data-dir={profile}"]
        if net_log is not None:
            command.append(f"--log-net-log={net_log}")
        command += ["--dump-dom", path.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def requested_urls(net_log: Path) -> list[str]:
    """Every http(s) address in a net log's URL requests."""
    text = net_log.read_text(encoding="utf-8").rstrip().rstrip(",")
    try:
        data = json.loads(text)
    except json.JSONDecodeError:  # a log cut short lacks its closing brackets
        data = json.loads(text + "]}")
    urls = (event.get("params", {}).get("url", "") for event in data["events"])
    return sorted({url for url in urls if url.startswith(("http://", "https://"))})
