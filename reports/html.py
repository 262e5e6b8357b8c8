"""What all pages share: templates, number formats as filters, and writing a page to a folder."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.folders import make_folder, require_new_or_own, write_bytes, write_pieces
from lrladder.benchmark.reading import why
from lrladder.benchmark.training import overlap
from lrladder.reports import formats
from lrladder.reports.downloads import Download
from lrladder.reports.drawing import parametrization_name

Name = TypeVar("Name", bound=str)
POLICY = (
    *("default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"),
    *("base-uri 'none'", "form-action 'none'"),
)
MAX_PAGE = 2_000_000  # characters up to which a page embeds its data; assumption: browsers open it at once
_EMBEDDED = re.compile(r'download="(?P<name>[\w-]+\.csv)" href="data:text/csv;charset=utf-8;base64,(?P<data>[\w+/=]*)"')
TEMPLATES = Path(__file__).parent / "templates"


def code(text: str) -> Markup:
    """Text with what stands in backticks as code; all else is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


_FILTERS = {
    "code": code,
    "lr": formats.lr,
    "exponent": formats.exponent,
    "loss": formats.loss,
    "millinats": formats.millinats,
    "flops": formats.flops,
    "hours": formats.hours,
    "factor": formats.factor,
    "count": formats.count,
    "short": formats.short,
    "fixed": formats.fixed,
    "signed": formats.signed,
    "parametrization_name": parametrization_name,
    "overlap": overlap.sentence,
}


def write_page(text: str, folder: Path, downloads: Iterable[Download] = ()) -> Path:
    """Write folder/index.html. A reader sees the old page or the new one, never half of one.

    `downloads` are the tables that the page offers; those that are too large for it are written as files beside it. If
    the page is larger than MAX_PAGE, so are all others. Raises InputError if there is a page that is not ours, or if
    the system refuses.
    """
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a link, and a page is not written through a link; remove it or name another folder"
        )
    make_folder(folder)
    page = folder / "index.html"
    require_new_or_own(page, "page", _is_own)
    beside = {file.name: file for file in downloads if file.embedded is None}
    text, files = _data_beside(text) if beside or len(text) > MAX_PAGE else (text, {})
    headers = {name: data.partition(b"\n")[0] for name, data in files.items()}
    headers |= {name: file.header.encode().partition(b"\n")[0] for name, file in beside.items()}
    before = page.read_bytes() if headers and page.exists() else b""
    for name, header in headers.items():
        if f'href="{name}"'.encode() not in before:  # otherwise the file belongs to our own page
            require_new_or_own(folder / name, "data", partial(_has_columns, header))
    try:
        for name, data in files.items():
            write_bytes(folder / name, data)
        for name, file in beside.items():
            write_pieces(folder / name, file.pieces())
        write_bytes(page, text.encode(errors="replace"))  # a file name need not be text
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({why(error)}); choose another folder") from error
    return page


def _is_own(head: bytes) -> bool:
    return b"<title>LR Ladder" in head or b'content="lrladder' in head


def _data_beside(text: str) -> tuple[str, dict[str, bytes]]:
    """The page with links to files in place of embedded data, and these files by name."""
    files: dict[str, bytes] = {}

    def link(found: re.Match[str]) -> str:
        files[found["name"]] = base64.b64decode(found["data"])
        return f'download="{found["name"]}" href="{found["name"]}"'

    return _EMBEDDED.sub(link, text), files


def _has_columns(header: bytes, head: bytes) -> bool:
    return head.partition(b"\n")[0] == header


def environment() -> Environment:
    """The templates of all pages. They escape values, refuse missing names, and have our number formats as filters."""
    loader = FileSystemLoader(TEMPLATES)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(_FILTERS)
    made.globals["policy"] = policy
    return made


def policy(script: str | None = None) -> Markup:
    """A tag by which the browser runs nothing but `script`, loads nothing and sends nothing, whatever the page holds.

    Inline styles are allowed, because drawings have them. As nothing can be loaded, they can only change the look.
    """
    parts = [*POLICY, *([] if script is None else [f"script-src 'sha256-{_sha256(script)}'"])]
    return Markup('<meta http-equiv="Content-Security-Policy" content="{}">').format(Markup("; ".join(parts)))


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def figures(drawn: Mapping[Name, str | None]) -> dict[Name, Markup | None]:
    """Our own drawings as SVG for a template. One with nothing to show is None."""
    return {name: Markup(svg) if svg else None for name, svg in drawn.items()}
