"""The points of the interactive map, decoded from the page."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.report import write_report
from psmt_viz.results import PixelEmbedding, Saved
from tests.report import mapped
from tests.report.reading import Page, coarse_report, columns


def test_points_decode_to_the_values_of_the_table(read: Page, everything: Saved) -> None:
    embedding = everything.get(PixelEmbedding)
    found, facts = columns(read.json("map-plots"), "points"), read.json("map-facts")
    ids = np.array([image["id"] for image in facts["images"]])
    frame = pd.DataFrame({name: values for name, values in found.items() if name != "image"})
    frame["image"] = ids[found["image"]]
    exact = ["image", "row", "col", "label", "pred_clean", "pred_vat", "pred_tvat"]
    places = [f"{axis}_{panel}" for panel in embedding.panels for axis in "xy"]
    expected = embedding.pixels.astype(dict.fromkeys(places, np.float32))
    names = [*exact, *places]
    frame, expected = (table[names].sort_values(names, ignore_index=True) for table in (frame, expected))
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False, check_exact=True)


def test_points_are_stored_in_few_bytes(read: Page) -> None:
    dtypes = {name: values.dtype.name for name, values in columns(read.json("map-plots"), "points").items()}
    whole = ("image", "row", "col", "label", "pred_clean", "pred_vat", "pred_tvat")
    assert {dtypes.pop(name) for name in whole} == {"uint8"}
    assert set(dtypes.values()) == {"float32"}


def test_wide_images_and_many_of_them_are_counted_exactly(tmp_path: Path) -> None:
    small = mapped.embedding(200, images=300)
    pixels = small.pixels.assign(row=np.arange(1000), col=70_000 - np.arange(1000))
    images = small.images.assign(height=1000, width=70_001)
    page = coarse_report(Saved.of(replace(small, pixels=pixels, images=images)), tmp_path / "index.html")
    found = columns(Page(page.read_text()).json("map-plots"), "points")
    assert sorted(found["row"]) == list(range(1000))
    assert sorted(found["col"]) == list(range(69_001, 70_001))
    assert found["image"].max() > 255


def test_no_class_is_drawn_over_all_others(read: Page) -> None:
    labels = columns(read.json("map-plots"), "points")["label"]
    assert [sorted(labels[place : place + 5]) for place in range(0, 25_000, 5)] == [sorted(mapped.LABELS)] * 5000


def test_steps_name_the_flipped_pixels(read: Page, everything: Saved) -> None:
    found, steps = columns(read.json("map-plots"), "points"), read.json("map-facts")["flipped"]
    wrong = (found["pred_vat"] != found["label"]) | (found["pred_tvat"] != found["label"])
    assert sorted(steps) == np.flatnonzero(wrong).tolist()
    # In the order of the table below the map.
    embedding = everything.get(PixelEmbedding)
    first = embedding.pixels[embedding.flipped("vat") | embedding.flipped("tvat")].iloc[0]
    assert (found["row"][steps[0]], found["col"][steps[0]]) == (first["row"], first["col"])


def test_each_picture_is_stored_once(html: str, everything: Saved) -> None:
    for jpeg in everything.get(PixelEmbedding).images["jpeg"]:
        assert html.count(b64encode(jpeg).decode()) == 1


def test_a_missing_picture_is_said(tmp_path: Path) -> None:
    small = mapped.embedding(10, images=3)
    lacking = replace(small, images=small.images.iloc[1:])
    with pytest.raises(UserError, match=r"a picture of image val_0000, got none; run psmt-viz tsne again"):
        write_report(Saved.of(lacking), tmp_path / "index.html")
