"""Nothing gets into the page or out of it."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from psmt_viz.results import ROLES, Saved, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.reading import Page, coarse_report


def test_the_policy_lets_these_scripts_run_and_nothing_load(read: Page) -> None:
    (policy,) = [
        attrs["content"] for tag, attrs in read.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    rules = {rule.split()[0]: rule.split()[1:] for rule in str(policy).split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:", "blob:"]
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in read.programs]
    assert rules.pop("script-src") == hashes
    assert len(hashes) >= 6
    assert set(rules) == {"default-src", "img-src", "style-src", "base-uri", "form-action"}


def test_the_policy_comes_before_anything_it_rules(read: Page) -> None:
    names = [attrs.get("http-equiv") or tag for tag, attrs in read.tags]
    assert names.index("Content-Security-Policy") < min(map(names.index, ("script", "style", "link", "img")))


def test_no_tag_loads_anything(read: Page) -> None:
    loading = ("src", "href", "srcset", "action", "data", "poster", "formaction", "background", "xlink:href")
    addresses = [str(attrs[name]) for _, attrs in read.tags for name in loading if name in attrs]
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert [tag for tag, _ in read.tags if tag in {"iframe", "object", "embed", "base", "video", "audio"}] == []
    assert [style for style in read.styles if re.search(r"url\(|@import", style)] == []


def test_no_address_is_written_outside_bokeh(read: Page, html: str) -> None:
    bokeh = max(read.programs, key=len)
    rest = html.replace(bokeh, "").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", rest)


NASTY = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"&'",
    "$x$",
    "<!--<script>",
    "a\u2028b",
    "\\u003c",
)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page in which every name from data is an attack."""
    flips = synthetic.flips(("vat", NASTY[0], NASTY[3]), judges=ROLES[:2], classes=NASTY)
    flips.flips["judge"] = flips.flips["judge"].replace("teacher1", NASTY[1])
    saved = Saved.of(
        synthetic.evaluation(NASTY, subject={"dataset": NASTY[1], "split": NASTY[2]}),
        Training(runs=(synthetic.curves(name=NASTY[0]), synthetic.curves(name=NASTY[1]))),
        synthetic.cams(classes=NASTY * 3),
        mapped.embedding(20, classes=NASTY, ids=NASTY),
        flips,
        replace(synthetic.closeup(classes=NASTY), image_id=NASTY[1]),
        manifest={"run": {"run": NASTY[1], "dataset": NASTY[0]}, "versions": {NASTY[0]: NASTY[1]}},
    )
    return coarse_report(saved, tmp_path_factory.mktemp("nasty") / "index.html").read_text(encoding="utf-8")


def test_names_stay_text(nasty: str, html: str) -> None:
    page, plain = Page(nasty), Page(html)
    assert [attrs for tag, attrs in page.tags if tag == "img" and attrs.get("src") == "x"] == []
    assert [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)] == []
    assert page.programs == plain.programs
    for name in NASTY:
        assert " ".join(name.split()) in page.text
    assert r"\$" not in page.text
    assert [c["name"] for c in page.json("map-facts")["classes"]] == list(NASTY)
    assert {image["id"] for image in page.json("map-facts")["images"]} == set(NASTY)


def test_bokeh_is_given_no_text_from_data(nasty: str) -> None:
    """It would read mathematics between dollars, and ask the network for what draws it."""
    page = Page(nasty)
    for id in ("map-plots", "curves-plots"):
        text = str(page.json(id))
        assert [name for name in NASTY if name in text] == []
