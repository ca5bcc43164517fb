"""A page whose figures are of few pixels, and what it holds, as a parser finds it."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.figures.style import DOUBLE
from psmt_viz.report import pictures, write_report
from psmt_viz.results import Saved


def coarse_report(saved: Saved, path: Path) -> Path:
    """Writes a page for tests of what is around the figures, which are drawn and then left blank."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "arrange", lambda *_: None)
        patch.setattr(pictures, "render", _blank)
        return write_report(saved, path)


def _blank(drawn: Figure | Axes) -> Image.Image:
    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    wide, tall = (round(side * pictures.SCALE * pictures.WIDE / (DOUBLE / 25.4)) for side in figure.get_size_inches())
    return Image.new("RGB", (wide, tall), to_hex(figure.get_facecolor()))


class Page(HTMLParser):
    """Collects tags with their attributes, scripts by id, and text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.texts: list[str] = []
        self._inside: str | None = None
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._inside = tag
            if tag == "script":
                self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = attrs, text + data
        elif self._inside == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)

    def json(self, id: str) -> Any:
        return next(json.loads(text) for attrs, text in self.scripts if attrs.get("id") == id)

    def sections(self) -> list[str]:
        return [str(attrs["id"]) for tag, attrs in self.tags if tag == "section" and attrs["id"] != "card"]

    @property
    def programs(self) -> list[str]:
        """The scripts that a browser runs."""
        return [text for attrs, text in self.scripts if "type" not in attrs]


def columns(document: Any, name: str) -> dict[str, NDArray[Any]]:
    """Returns the columns of a bokeh source in a document's JSON, decoded."""
    source = next(part for part in _parts(document) if part.get("attributes", {}).get("name") == name)
    return {key: _decoded(value) for key, value in source["attributes"]["data"]["entries"]}


def _decoded(value: Any) -> NDArray[Any]:
    if isinstance(value, list):
        return np.array(value)
    stored = gzip.decompress(b64decode(value["array"]["data"]))
    return np.frombuffer(stored, np.dtype(value["dtype"]).newbyteorder("<")).reshape(value["shape"])


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part)
