"""The site is whole, and needs no network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from filelock import FileLock

from psmt_viz.cli import app, main
from tests.pages import documented
from tests.pages.documented import DOCS, ROOT


class Page(HTMLParser):
    """Links, anchors, resources and code of a page of the site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.resources: list[str] = []
        self.codes: list[str] = []
        self._in_code = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "video", "embed", "object"):
            self.resources += [given[name] for name in ("src", "data", "srcset") if name in given]
        if tag == "link" and given.get("rel") not in ("prev", "next", "canonical", "alternate"):
            self.resources.append(given["href"])
        if tag == "code":
            self._in_code += 1
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.codes[-1] += data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; tests in several processes share it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "site"
    with FileLock(root / "site.lock"):
        if not (root / "site.log").is_file():
            built = subprocess.run(
                [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            (root / "site.log").write_text(f"status {built.returncode}\n{built.stdout}{built.stderr}")
    return folder


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    log = (site.parent / "site.log").read_text()
    assert log.startswith("status 0\n"), log
    assert "WARNING" not in log, log
    assert (site / "index.html").is_file()
    assert not list(site.rglob("*.py"))


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 30
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            target, _, anchor = link.partition("#")
            place = (path.parent / target).resolve() if target else path
            assert place.is_file() or target in (".", ".."), (path, link)
            if anchor and place in pages and anchor != "__codelineno":
                assert anchor in pages[place].anchors, (path, link)


def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        for resource in Page(path).resources:
            assert not resource.startswith(("http:", "https:", "//")), (path, resource)
    for path in site.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", style), path


@pytest.mark.parametrize("command", documented.COMMANDS)
def test_the_page_of_a_command_has_its_flags(site: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    told = capsys.readouterr().out
    helped = set(
        re.findall(
            r"(?<![\w-])--[a-z][\w-]*", "\n".join(line[:34] for line in told.splitlines() if line.startswith("│"))
        )
    )
    page = Page(site / "commands" / f"{command}.html")
    arguments = app[command].assemble_argument_collection()
    positional = {name for each in arguments if each.index is not None for name in each.names}
    assert {each.name.removeprefix("--").upper() for each in arguments if each.index is not None} <= {*page.codes}
    for flag in helped - positional:
        assert flag in page.codes, flag
    assert {name for name in documented.flags_of(command) - positional if name.startswith("--")} <= {*page.codes}


def test_a_name_that_pages_ask_for_and_the_program_has_not_stops_the_build() -> None:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match="no command tsnee"):
        hooks.flags("tsnee")
