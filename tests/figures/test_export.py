from __future__ import annotations

import filecmp
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from psmt_viz.figures import (
    draw_batch,
    draw_closeup,
    draw_flips,
    draw_gradcam,
    draw_sweep,
    draw_training,
    draw_transfer,
    draw_tsne,
    draw_where,
    export,
    export_png,
    style,
)
from psmt_viz.figures.style import DARK_PAPER
from psmt_viz.files import sha256

from . import synthetic

PROVENANCE = {"run": "scenes_1_8 (best) \\ ü", "inputs": {"tsne.json": "ab12"}, "eps": 2.0}

FIGURES = {
    "tsne": lambda: draw_tsne(synthetic.embedding(60)),
    "gradcam": lambda: draw_gradcam(synthetic.cams(1, (24, 32))),
    "flips": lambda: draw_flips(synthetic.flips(("vat", "tvat-official"))).figure,
    "sweep": lambda: draw_sweep(synthetic.flips(("vat",), warnings={"vat": ["It is lost to rounding."]})),
    "transfer": lambda: draw_transfer(synthetic.flips(("vat", "tvat"))),
    "where": lambda: draw_where(synthetic.flips(("vat", "tvat"))),
    "closeup": lambda: draw_closeup(synthetic.closeup(("vat",))),
    "training": lambda: draw_training(synthetic.curves(3)),
    "batch": lambda: draw_batch(synthetic.batch(1, (16, 16))),
}


def pdf_keywords(data: bytes) -> str:
    raw = re.search(rb"/Keywords \((.*?)(?<!\\)\)", data, re.DOTALL).group(1)
    return re.sub(rb"\\(.)", rb"\1", raw).decode("ascii")


DARK = pytest.mark.parametrize("dark", [False, True], ids=["white", "dark"])


def contents(name: str, folder: Path) -> dict[str, str]:
    """Returns what an export of one of the figures writes: file -> SHA-256."""
    return {path.name: sha256(path) for path in export(FIGURES[name](), folder / name, provenance=PROVENANCE)}


@pytest.mark.parametrize("name", ["sweep", "closeup", "training"])
def test_a_second_export_of_a_figure_is_equal(tmp_path, name):
    figure, first, again = FIGURES[name](), tmp_path / "first", tmp_path / "again"
    for folder in (first, again):
        folder.mkdir()
        export(figure, folder / name, provenance=PROVENANCE)
    names = sorted(path.name for path in first.iterdir())
    assert len(names) == 4 and filecmp.cmpfiles(first, again, names, shallow=False) == (names, [], [])


def test_equal_figures_are_equal_files_in_every_process(tmp_path):
    """In Python, the order of a set of texts is another one in each process, unless the seed of hashes is given."""
    code = (
        "import json, pathlib, sys; from tests.figures import test_export as t;"
        "print(json.dumps([t.contents(name, pathlib.Path(sys.argv[1])) for name in t.FIGURES]))"
    )
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    # Another seed than this process may have been given.
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    told = subprocess.run(
        [sys.executable, "-c", code, str(there)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == [contents(name, here) for name in FIGURES]


def test_whole_files_with_provenance(tmp_path):
    paths = export(FIGURES["training"](), tmp_path / "results.v1", provenance=PROVENANCE)
    endings = [".png", ".pdf", ".svg", ".provenance.json"]
    assert [path.name for path in paths] == ["results.v1" + ending for ending in endings]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary files

    with Image.open(paths[0]) as image:
        assert json.loads(image.text["Description"]) == PROVENANCE
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.width == pytest.approx(174 / 25.4 * 300, abs=1)
    pdf = paths[1].read_bytes()
    assert json.loads(pdf_keywords(pdf)) == PROVENANCE
    assert b"CreationDate" not in pdf
    description = ET.parse(paths[2]).find(".//{http://purl.org/dc/elements/1.1/}description")
    assert json.loads(description.text) == PROVENANCE
    assert b"dc:date" not in paths[2].read_bytes()
    beside = json.loads(paths[3].read_text(encoding="utf-8"))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths[:3]}
    assert beside == PROVENANCE | {"figure": "results.v1", "sha256": hashes}


def test_what_json_has_no_word_for_is_text_and_keys_are_in_order(tmp_path):
    *_, path = export(
        Figure((1, 1)), tmp_path / "a", provenance={"z": float("nan"), "b": {"y": -math.inf, "x": Path("p")}}
    )
    facts = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert list(facts) == ["b", "figure", "sha256", "z"]
    assert list(facts["b"].items()) == [("x", "p"), ("y", "-Infinity")] and facts["z"] == "NaN"


@pytest.mark.parametrize("name", ["sweep", "training"])
def test_fonts_are_embedded_as_true_type(tmp_path, name):
    pdf = export(FIGURES[name](), tmp_path / name, provenance={})[1].read_bytes()
    # 42 in Adobe's numbering: an outline font in the file, never drawing commands (Type 3), which publishers refuse.
    assert b"/Type3" not in pdf
    assert pdf.count(b"/FontFile2") == pdf.count(b"/Type /FontDescriptor") == pdf.count(b"/CIDFontType2") > 0


@DARK
@pytest.mark.parametrize("inside", [False, True], ids=["after the block", "in the block"])
def test_a_figure_keeps_its_paper(tmp_path, dark, inside):
    with style(dark=dark):
        figure = draw_flips(synthetic.flips(("vat",))).figure
        if inside:
            paths = export(figure, tmp_path / "a", provenance={})
    if not inside:
        paths = export(figure, tmp_path / "a", provenance={})
    paper = DARK_PAPER if dark else "#ffffff"
    with Image.open(paths[0]) as image:
        corner = image.convert("RGB").getpixel((0, 0))
    assert to_hex(np.array(corner) / 255) == paper.lower()
    drawing = paths[2].read_text(encoding="utf-8")
    assert f"fill: {paper.lower()}" in drawing
    # No mark of the axes is black on dark paper, where no one would see it.
    assert ("stroke: #000000" in drawing) != dark


def test_a_failed_export_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = FIGURES["training"]()
    figure.savefig = lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        export_png(figure, path, {})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_export_png_writes_one_picture(tmp_path):
    path = export_png(FIGURES["batch"](), tmp_path / "batch.png", {"epoch": 3})
    with Image.open(path) as image:
        assert image.text["Description"] == '{"epoch":3}'
