"""The pages of docs/: the site that `make docs` builds of them, and their links as GitHub reads them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
import yaml

from lrladder.benchmark.cli import app
from tests.paths import ROOT

DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md"))]
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src"}  # what a browser fetches by itself
NOT_RENDERED = re.compile(r"\s*([*-] |\| |#+ |```)|.*(\]\(|(^|\s)\*\*\w)")  # marks of Markdown in text for people
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NOT_OURS = {"404.html"}  # it names everything from the root of a server


class Page(HTMLParser):
    """What a page links to, loads and names, and its text for people line by line."""

    VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self._text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.lines = "".join(self._text).splitlines()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.links += [given[name] for name in ("href", "src") if name in given]
        if tag in LOADED and LOADED[tag] in given:
            self.loaded.append(given[LOADED[tag]])
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        unread = {"code", "pre", "script", "style"} & set(self._open)
        self._text.append("_" if unread else data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. The build fails at a broken link, and leaves nothing in the checkout."""
    pytest.importorskip("zensical", reason="needs zensical, which `make venv` installs")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(["cp", "-a", str(CONFIG), str(DOCS), str(folder)], check=True)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = [path for path in sorted(site.rglob("*.html")) if path.name not in NOT_OURS]
    return {path: Page(path.read_text(encoding="utf-8")) for path in found}


def internal(links: list[str]) -> Iterator[tuple[str, str]]:
    """Path and anchor of each link that names no scheme and no server."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            yield unquote(parts.path), unquote(parts.fragment)


def test_every_page_is_built_and_in_the_navigation(pages: dict[Path, Page], site: Path) -> None:
    built = {path.relative_to(site).as_posix() for path in pages}
    wanted = {page.relative_to(DOCS).as_posix().replace("README.md", "index.html") for page in PAGES}
    assert built == {name.replace(".md", ".html") for name in wanted}
    named = re.findall(r"[\w/-]+\.md", str(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"]))
    assert sorted(named) == [page.relative_to(DOCS).as_posix() for page in PAGES]


def test_every_link_and_anchor_of_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for name, anchor in internal(page.links):
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name}: {name}"
            assert not anchor or target not in pages or anchor in pages[target].names, f"{path.name}: {name}#{anchor}"


def test_the_site_loads_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert len(list(internal(page.loaded))) == len(page.loaded), path.name


def test_lists_tables_and_bold_text_are_rendered(pages: dict[Path, Page]) -> None:
    """GitHub starts a list without an empty line above it and nests by two spaces, the site does neither."""
    for path, page in pages.items():
        assert not [line for line in page.lines if NOT_RENDERED.match(line)], path.name


def github_anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_on_github(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8")))
    for name, anchor in internal(links):
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), name
        assert DOCS not in path.parents or target.is_relative_to(DOCS), f"{name}: the site has nothing outside docs/"
        assert not anchor or anchor in github_anchors(target.read_text(encoding="utf-8")), f"{name}#{anchor}"


def options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_that_a_page_shows_exist(path: Path) -> None:
    for line in re.findall(r"^    lrladder ([a-z].*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        name, *given = line.split("#")[0].split()
        command = COMMANDS.get(name)
        assert command, line
        assert {one.split("=")[0] for one in given if one.startswith("--")} <= options(command), line
