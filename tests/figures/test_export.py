from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest
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
)

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


@pytest.mark.parametrize("name", FIGURES)
def test_equal_figures_are_equal_files(tmp_path, name):
    figure = FIGURES[name]()
    contents = []
    for folder, drawn in (("first", figure), ("again", figure), ("redrawn", FIGURES[name]())):
        (tmp_path / folder).mkdir()
        paths = export(drawn, tmp_path / folder / "fig", provenance=PROVENANCE)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1], "a second export of one figure differs"
    assert contents[0] == contents[2], "an equal figure's export differs"


def test_three_whole_files_with_provenance(tmp_path):
    paths = export(FIGURES["training"](), tmp_path / "results.v1", provenance=PROVENANCE)
    assert [path.name for path in paths] == ["results.v1.png", "results.v1.pdf", "results.v1.svg"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary files

    with Image.open(paths[0]) as image:
        assert json.loads(image.text["Description"]) == PROVENANCE
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.width == pytest.approx(174 / 25.4 * 300, abs=1)
    pdf = paths[1].read_bytes()
    assert json.loads(pdf_keywords(pdf)) == PROVENANCE
    assert b"CreationDate" not in pdf
    assert b"/Type3" not in pdf and b"/FontFile2" in pdf  # TrueType, embedded
    description = ET.parse(paths[2]).find(".//{http://purl.org/dc/elements/1.1/}description")
    assert json.loads(description.text) == PROVENANCE
    assert b"dc:date" not in paths[2].read_bytes()


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
