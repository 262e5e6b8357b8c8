"""The report in a real browser: it parses, shows its headline, complains about nothing and asks nobody for anything."""

import os
from pathlib import Path

import pytest

from benchmark.results import Results
from reports.page import write
from reports.pdf import find_browser, print_page, require_browser
from tests.browser.chromium import open_in_chromium, requested_urls
from tests.reports.synthetic import build_results, diverged_results, empty_results

REQUIRED = os.environ.get("LRLADDER_REQUIRE_BROWSER") == "1"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None and not REQUIRED, reason="no chromium or google-chrome on PATH"),
]
OWN_TRAFFIC = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")  # the browser's own, not the page's


@pytest.mark.parametrize(
    "results", [build_results(), empty_results(), diverged_results()], ids=["full", "empty", "lost"]
)
def test_report_opens_without_console_output(results: Results, tmp_path: Path) -> None:
    dom, console = open_in_chromium(write(results, tmp_path))
    assert "<h1>LR Ladder: synthetic</h1>" in dom
    assert "Provenance" in dom
    assert console == []


def test_figures_are_drawn_inline(tmp_path: Path) -> None:
    dom, _ = open_in_chromium(write(build_results(), tmp_path))
    assert dom.count("<svg") == 3
    assert "t128x4 (target)" in dom


def test_no_address_is_requested(tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    open_in_chromium(write(build_results(), tmp_path), net_log=log)
    urls = [url for url in requested_urls(log) if not any(own in url for own in OWN_TRAFFIC)]
    assert urls == []


def test_hostile_name_runs_no_script(tmp_path: Path) -> None:
    hostile = "<script>document.title='taken';console.error('taken')</script><img src=x onerror=console.error('taken')>"
    results = build_results(
        preset=hostile, config={"name": hostile}, missing=(hostile,), environment={hostile: hostile}
    )
    dom, console = open_in_chromium(write(results, tmp_path))
    assert console == []
    assert "<title>taken</title>" not in dom
    assert "<script>" not in dom


def test_report_is_printed(tmp_path: Path) -> None:
    made = print_page(write(build_results(), tmp_path / "report"), require_browser())
    assert made.read_bytes().startswith(b"%PDF-")
    assert made.stat().st_size > 20_000
