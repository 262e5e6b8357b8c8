"""The compare and index pages in a real browser: nothing to complain about, nobody asked for anything."""

import os
from pathlib import Path

import pytest

from lrladder.reports.compare import page as compare_page
from lrladder.reports.compare.side_by_side import Comparison, Study
from lrladder.reports.index import page as index_page
from lrladder.reports.pdf import find_browser
from tests.browser.chromium import open_in_chromium, requested_urls
from tests.reports.synthetic import build_results

REQUIRED = os.environ.get("LRLADDER_REQUIRE_BROWSER") == "1"
HOSTILE = "<img src=http://example.invalid/x onerror=console.error('taken')>"
OWN_TRAFFIC = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")  # the browser's own, not the page's
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None and not REQUIRED, reason="no chromium or google-chrome on PATH"),
]


def _study(label: str) -> Study:
    return Study(label, build_results(preset=HOSTILE, environment={"cpu": label}))


def test_compare_page_is_quiet_and_whole(tmp_path: Path) -> None:
    page = compare_page.write(Comparison((_study(HOSTILE), _study("b")), ()), tmp_path)
    dom, console = open_in_chromium(page, net_log=tmp_path / "net.json")
    assert console == []
    assert dom.count("<svg role=") == 1
    assert "What differs" in dom and "<img" not in dom
    urls = requested_urls(tmp_path / "net.json")
    assert [url for url in urls if not any(own in url for own in OWN_TRAFFIC)] == []


def test_index_page_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "<b>one").mkdir()
    (tmp_path / "<b>one" / "results.json").write_text(build_results(preset=HOSTILE).to_json())
    dom, console = open_in_chromium(index_page.write(tmp_path)[0])
    assert console == []
    assert "&lt;b&gt;one" in dom and "<img" not in dom


TAKEN = "document.title='taken'"


@pytest.mark.parametrize("attack", [f"<script>{TAKEN}</script>", f"<img src=x onerror={TAKEN}>"])
def test_script_that_gets_into_a_page_all_the_same_is_not_run(attack: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "results.json").write_text(build_results().to_json())
    page = index_page.write(tmp_path)[0]
    page.write_text(page.read_text().replace("<main>", f"<main>{attack}"))
    dom, console = open_in_chromium(page)
    assert "<title>LR Ladder: reports</title>" in dom
    assert any("Content Security Policy" in line for line in console)
