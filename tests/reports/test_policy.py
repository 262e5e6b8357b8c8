"""Every page forbids whatever is not ours: no template lacks the tag, and the tag allows one script by its hash."""

import base64
import hashlib
import re

import pytest

from lrladder.reports.html import TEMPLATES, policy
from lrladder.reports.regret.page import render
from tests.reports.synthetic import build_results

PAGES = sorted(path for path in TEMPLATES.glob("*.j2") if "<html" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_policy_comes_before_anything_that_it_governs(page: object) -> None:
    text = page.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    head = text[text.index("<head>") :]
    assert head.startswith('<head>\n<meta charset="utf-8">\n{{ policy(')
    assert not re.search(r"\son[a-z]+\s*=", text)  # no handler in an attribute, which a hash does not allow
    assert ("<script" in text) == ("policy(script)" in text)


def test_there_are_pages() -> None:
    assert len(PAGES) >= 7


def test_nothing_is_allowed_but_what_is_named() -> None:
    assert str(policy()) == (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
    )


def test_the_script_of_a_report_is_the_one_allowed() -> None:
    html = render(build_results())
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.split("</head>")[0]
