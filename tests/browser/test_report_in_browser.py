"""The report in a real browser: complete, quiet, on its own, usable by keyboard, readable in both themes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.downloads import to_csv
from lrladder.reports.pdf import find_browser, print_page, require_browser
from lrladder.reports.regret import analysis
from lrladder.reports.regret.page import SECTIONS, write
from tests.reports.synthetic import (
    build_results,
    diverged_results,
    empty_results,
    many_results,
    single_results,
    watched_results,
)

REQUIRED = os.environ.get("LRLADDER_REQUIRE_BROWSER") == "1"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None and not REQUIRED, reason="no chromium or google-chrome on PATH"),
]
HOSTILE = "<script>document.title='taken';console.error('taken')</script><img src=x onerror=console.error('taken')>"
CASES = {
    "full": build_results(),
    "watched": watched_results(),
    "empty": empty_results(),
    "partial": build_results(complete=False, missing=("t128x4: oracle of mup",)),
    "one paradigm": single_results(),
    "all diverged": diverged_results(),
    "1,000 trials": many_results(),
    "hostile": build_results(
        preset=HOSTILE, config={"name": HOSTILE}, missing=(HOSTILE,), environment={HOSTILE: HOSTILE}
    ),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


class Opened:
    """A page with what it said and asked for."""

    def __init__(self, browser: Browser, results: RegretResults, folder: Path, **options: object) -> None:
        self.page: Page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(write(results, folder).resolve().as_uri())


@pytest.mark.parametrize("results", CASES.values(), ids=list(CASES))
def test_every_report_is_whole_quiet_and_on_its_own(results: RegretResults, browser: Browser, tmp_path: Path) -> None:
    opened = Opened(browser, results, tmp_path)
    linked = opened.page.locator("nav.bar a").evaluate_all("(all) => all.map((a) => [a.hash.slice(1), a.textContent])")
    assert linked == [[name, title] for name, title in SECTIONS if [name, title] in linked]
    assert {"conclusion", "reproduce"} <= {name for name, _ in linked}
    for identifier, title in linked:
        assert opened.page.locator(f"h2#{identifier}").inner_text() == title
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert opened.page.title() == f"LR Ladder: {results.preset}"
    assert len((tmp_path / "index.html").read_bytes()) < 5e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1250, 390])
def test_nothing_serious_stands_between_the_report_and_its_readers(
    scheme: str, width: int, browser: Browser, tmp_path: Path
) -> None:
    page = Opened(
        browser, watched_results(), tmp_path, color_scheme=scheme, viewport={"width": width, "height": 900}
    ).page
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CUE = """(all) => all.filter((part) => part.scrollWidth > part.clientWidth + 1
    && getComputedStyle(part, '::before').content === 'none').map((part) => part.innerHTML.slice(0, 200))"""


def test_on_a_narrow_screen_what_scrolls_says_so_and_shows_the_regret_first(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, watched_results(), tmp_path, viewport={"width": 390, "height": 900}).page
    assert page.locator(".scroll").evaluate_all(CUE) == []
    page.evaluate("document.querySelector('#filters select').options[0].text = 'a long list of names '.repeat(9)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("figure .legend").count() > 3
    for part in [*page.locator("figure .legend").all(), *page.locator("th", has_text="LR regret").all()]:
        box = part.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_filters_hide_rows_and_points(browser: Browser, tmp_path: Path) -> None:
    results = build_results()
    page = Opened(browser, results, tmp_path).page
    page.locator("select[name=verdict]").select_option("diverged")
    lost = sum(m.verdict == "diverged" for m in results.measurements)
    assert page.locator("#trials tbody tr:not([hidden])").count() == lost
    assert page.locator("svg .run:not(.off)").count() == lost
    assert page.locator("#count").inner_text() == f"{lost} of {len(results.measurements)} readings"
    page.get_by_role("button", name="All", exact=True).click()
    page.locator("select[name=rung]").select_option("t96x3")
    assert page.locator("#trials tbody tr:not([hidden])").count() == sum(
        m.rung == "t96x3" for m in results.measurements
    )


def test_every_run_of_the_panels_is_a_point_with_its_row(browser: Browser, tmp_path: Path) -> None:
    results = build_results()
    page = Opened(browser, results, tmp_path).page
    numbers = page.locator("svg .run").evaluate_all("(all) => all.map((point) => point.dataset.i)")
    assert sorted(map(int, numbers)) == list(range(len(results.measurements)))


def test_the_table_is_sorted_by_number(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, build_results(), tmp_path).page
    page.locator("details.trials summary").click()
    head = page.locator("#trials th", has_text="loss ± se")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    losses = page.locator("#trials tbody tr").evaluate_all("(rows) => rows.map((row) => row.cells[9].dataset.v)")
    known = [float(loss) for loss in losses if loss]
    assert known == sorted(known) and losses[-1] == ""  # diverged ones last
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"


def test_points_are_walked_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, build_results(), tmp_path).page
    first = page.locator("svg .run[tabindex='0']").first
    first.focus()
    assert page.locator("#tip").inner_text() == first.get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    here = page.evaluate("document.activeElement.dataset.i")
    assert here is not None and page.locator("#tip").inner_text() != ""
    page.keyboard.press("Enter")
    assert page.locator(f"#trials tr[data-i='{here}']").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_figures_give_their_data(browser: Browser, tmp_path: Path) -> None:
    results = build_results()
    page = Opened(browser, results, tmp_path).page
    drawn = page.locator("figure svg[aria-label]").count()
    assert drawn >= 6
    assert page.locator("figcaption a[download]").count() == drawn - 1  # all but the overlay, whose runs are the bowls'
    with page.expect_download() as download:
        page.locator("a[download='measurements.csv']").first.click()
    text = Path(download.value.path()).read_bytes().decode()
    assert text == to_csv(analysis.measurements(results))


def test_planted_faults_show_in_the_right_panel(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, watched_results(), tmp_path).page
    assert "sp diverges from" in page.locator("main").inner_text()
    table = page.locator("table", has=page.locator("caption", has_text="t128x4, 262")).last
    for name, fitting, transfer in (("gradient spikes", "3.0", "0.0"), ("dead experts", "0.25", "0.00")):
        cells = table.locator("tr", has_text=name).locator("td")
        assert cells.nth(0).inner_text().split()[0] == fitting
        assert cells.nth(1).inner_text().split()[0] == transfer
    sentence = page.locator("h2#features ~ figure figcaption b").first.inner_text()
    assert "sp \u22121.00 [\u22121.00, \u22121.00] octaves per doubling of width, which is shrinking" in sentence
    assert "mup 0.00 [0.00, 0.00] octaves per doubling of width, which is constant" in sentence


def test_report_is_printed(tmp_path: Path) -> None:
    made = print_page(write(build_results(), tmp_path / "report"), require_browser())
    assert made.read_bytes().startswith(b"%PDF-")
    assert made.stat().st_size > 20_000


def test_paper_is_white_whatever_the_screen(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, build_results(), tmp_path, color_scheme="dark").page
    color = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(color) != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.evaluate(color) == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")
    page.locator("#theme").click()
    assert page.evaluate(color) == "rgb(255, 255, 255)"
    page.locator("#theme").click()
    page.emulate_media(media="print")
    assert page.evaluate(color) == "rgb(255, 255, 255)"
