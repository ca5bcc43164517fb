"""The interactive map: linked panels of the same pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BooleanFilter,
    CDSView,
    ColumnDataSource,
    IndexFilter,
    IntersectionFilter,
    InversionFilter,
    LinearColorMapper,
    Plot,
    Range1d,
    Scatter,
)
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.figures.style import class_colors, class_markers, flip_color
from psmt_viz.figures.tsne import square_limits
from psmt_viz.figures.tsne_words import NONE, by_words
from psmt_viz.figures.words import kind_words
from psmt_viz.report.documents import Paint, document_json, new_plot
from psmt_viz.report.inline import data_uri
from psmt_viz.report.markers import SHAPES
from psmt_viz.report.themes import both, greys
from psmt_viz.results import PixelEmbedding


def map_order(embedding: PixelEmbedding) -> NDArray[np.intp]:
    """Returns the order in which pixels are drawn: the classes alternate, so that none lies on all others."""
    turn = embedding.pixels.groupby("label").cumcount().to_numpy()
    return np.argsort(turn, kind="stable")


def map_json(embedding: PixelEmbedding) -> dict[str, Any]:
    """Returns the panels for the page (see `document_json`), in the elements `panel-<name>`.

    One source holds all pixels: coordinates as float32, everything else in the smallest whole numbers that hold it.
    """
    order = map_order(embedding)
    panels = embedding.panels
    shared = next(iter(embedding.flipped_by().values()))[order]
    source = ColumnDataSource(_columns(embedding, order), name="points")
    chosen = ColumnDataSource({f"{axis}_{panel}": [] for axis in "xy" for panel in panels}, name="chosen")
    shown = BooleanFilter(booleans=None, name="shown")
    colors = LinearColorMapper(palette=["black"], low=-0.5, high=len(embedding.classes) - 0.5)
    paints = [Paint(colors, "palette", *both(lambda: list(class_colors(len(embedding.classes)))))]
    ranges = _ranges(embedding)
    plots = {}
    for panel in panels:
        plot = new_plot(*ranges[panel], min_border=0, lod_threshold=4000)
        wrong = embedding.flipped(panel)[order]
        flipped, *parts = (
            IndexFilter(indices=np.flatnonzero(rows).tolist()) for rows in (wrong, wrong & shared, wrong & ~shared)
        )
        places: dict[str, Any] = {"x": f"x_{panel}", "y": f"y_{panel}"}
        dots = Scatter(
            **places,
            size=_dot_size(embedding),
            marker={"field": "marker"},
            angle={"field": "angle"},
            fill_color={"field": "label", "transform": colors},
            line_color=None,
        )
        size, red, paper = _star_size(embedding), both(flip_color), greys(1)
        full = Scatter(**places, size=size, marker="star", line_width=0.6)
        hollow = Scatter(**places, size=1.25 * size, marker="star", line_width=1.6)
        correct = InversionFilter(operand=flipped)
        plot.add_glyph(source, dots, view=CDSView(filter=IntersectionFilter(operands=[shown, correct])))
        for stars, part, inside, edge in zip((full, hollow), parts, (red, paper), (paper, red), strict=True):
            plot.add_glyph(source, stars, view=CDSView(filter=IntersectionFilter(operands=[shown, part])))
            paints += [Paint(stars, "fill_color", *inside), Paint(stars, "line_color", *edge)]
        paints += _add_ring(plot, chosen, places)
        plots[f"panel-{panel}"] = plot
    return document_json(plots, paints)


def map_facts(embedding: PixelEmbedding) -> dict[str, Any]:
    """Returns what the page's script needs besides: classes, markers, pictures and which pixels are flipped.

    Raises:
        UserError: if there is no picture of a pixel's image.
    """
    count = len(embedding.classes)
    any_flipped = np.logical_or.reduce([embedding.flipped(panel) for panel in embedding.panels])
    place = np.argsort(map_order(embedding))  # of the table's rows among those drawn
    light, dark = both(lambda: class_colors(count))
    return {
        "panels": list(embedding.panels),
        "names": {panel: kind_words(panel) for panel in embedding.perturbations},
        "classes": [
            {"name": name, "light": light[index], "dark": dark[index]} for index, name in enumerate(embedding.classes)
        ],
        "markers": [{"type": SHAPES[sign].bokeh, "angle": SHAPES[sign].angle} for sign in class_markers(count)],
        "flipped": place[any_flipped].tolist(),
        "by": by_words(embedding),
        "none": NONE,
        "images": [
            {
                "id": str(row.image),
                "height": int(row.height),
                "width": int(row.width),
                "picture": data_uri("image/jpeg", row.jpeg),
            }
            for row in _pictured(embedding).itertuples()
        ],
    }


def _pictured(embedding: PixelEmbedding) -> Any:
    """Returns the rows of `embedding.images` that pixels lie in."""
    used = set(embedding.pixels["image"])
    images = embedding.images[embedding.images["image"].isin(used)]
    if missing := sorted(map(str, used - set(images["image"]))):
        raise UserError(f"a picture of image {missing[0]}", "none", "run psmt-viz tsne again")
    return images.drop_duplicates("image")


def _columns(embedding: PixelEmbedding, order: NDArray[np.intp]) -> dict[str, Any]:
    pixels = embedding.pixels.iloc[order]
    number = {image: index for index, image in enumerate(_pictured(embedding)["image"])}
    columns = {"image": _compact(pixels["image"].map(number).to_numpy())}
    for name in ("row", "col", "label", *(f"pred_{panel}" for panel in embedding.panels)):
        columns[name] = _compact(pixels[name].to_numpy())
    for name in (f"{axis}_{panel}" for panel in embedding.panels for axis in "xy"):
        columns[name] = pixels[name].to_numpy(np.float32)
    return columns


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _ranges(embedding: PixelEmbedding) -> Mapping[str, tuple[Range1d, Range1d]]:
    """Returns square ranges: one pair for all panels, or one each where the panels are maps of their own."""
    if embedding.facts.get("layout") == "separate":
        return {panel: _square(embedding, (panel,)) for panel in embedding.panels}
    return dict.fromkeys(embedding.panels, _square(embedding, embedding.panels))


def _square(embedding: PixelEmbedding, panels: Sequence[str]) -> tuple[Range1d, Range1d]:
    x_range, y_range = (Range1d(start=low, end=high) for low, high in square_limits(embedding, panels))
    return x_range, y_range


def _add_ring(plot: Plot, chosen: ColumnDataSource, places: dict[str, Any]) -> list[Paint]:
    """Adds the ring around the chosen pixel; on a layer of its own, or each choice would redraw all pixels."""
    paints = []
    for width, color in ((5.0, greys(1)), (2.0, greys(0))):
        ring = Scatter(**places, size=17, marker="circle", fill_color=None, line_width=width)
        plot.add_glyph(chosen, ring, level="overlay")
        paints.append(Paint(ring, "line_color", *color))
    return paints


def _dot_size(embedding: PixelEmbedding) -> float:
    """Returns a diameter in CSS pixels, larger where pixels are fewer."""
    return float(np.clip(2.8 * (25_000 / len(embedding.pixels)) ** 0.3, 2.8, 8))


def _star_size(embedding: PixelEmbedding) -> float:
    most = max(int(embedding.flipped(panel).sum()) for panel in embedding.panels)
    return float(np.clip(16 * (100 / max(most, 1)) ** 0.25, 8, 16))
