"""Save figures as files that are equal whenever the figures are, and that say where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psmt_viz.figures.style import style
from psmt_viz.files import atomic_write, sha256, write_json

DPI = 300


def figure_of(drawn: Axes | Figure) -> Figure:
    """Returns the figure that a `draw_*` function has drawn, or on whose axes it has."""
    return drawn if isinstance(drawn, Figure) else cast(Figure, drawn.get_figure(root=True))


def arrange(figure: Figure, like: Figure | None = None) -> None:
    """Gives the parts of a figure their places for good; a figure that was arranged stays as it is.

    Args:
        figure: A figure with a layout engine.
        like: One that differs in its colours alone and was arranged; its places are taken over, which saves a drawing.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    # matplotlib gives no access to the places of subfigures.
    if like is None or figure.subfigs:
        engine.execute(figure)  # without a drawing, which it needs not
    else:
        for ax, other in zip(figure.axes, like.axes, strict=True):
            ax.set_position(other.get_position(original=True), which="original")
            ax.set_position(other.get_position(original=False), which="active")
        for text, other_text in zip(figure.texts, like.texts, strict=True):
            text.set_position(other_text.get_position())
    # With an engine that does nothing, matplotlib still draws twice for each file.
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def export(figure: Figure, stem: Path, *, provenance: dict[str, Any]) -> list[Path]:
    """Saves a figure as PNG (300 dpi), PDF and SVG with a text on its origin beside them, each whole or not at all.

    Equal figures give equal bytes: no dates, no random ids. The arrangement of the figure is fixed by its first
    export, because arranging again could move parts by a fraction of a pixel. A figure on dark paper stays dark.

    Args:
        figure: What to save.
        stem: Path without suffix; dots in the name are kept.
        provenance: What made the figure, kept as JSON in each file: PNG text `Description`, PDF `Keywords`, SVG
            description. `<stem>.provenance.json` holds it readably, with `figure`, its name, and `sha256` of each file.

    Returns:
        The four paths.
    """
    paths = [_save(figure, stem.with_name(stem.name + suffix), provenance) for suffix in (".png", ".pdf", ".svg")]
    hashes = {path.name: sha256(path) for path in paths}
    facts = {**json.loads(_facts(provenance)), "figure": stem.name, "sha256": hashes}
    beside = stem.with_name(stem.name + ".provenance.json")
    write_json(beside, dict(sorted(facts.items())))
    return [*paths, beside]


def export_png(figure: Figure, path: Path, provenance: dict[str, Any], *, dpi: int | None = None) -> Path:
    """Saves a figure as one PNG on the same terms as `export`, without the file beside it.

    Args:
        figure: What to save.
        path: The file, ending in .png.
        provenance: What made the figure, kept as JSON in the PNG text `Description`.
        dpi: Pixels per inch. Default: 300.

    Returns:
        The path.
    """
    return _save(figure, path, provenance, dpi)


def _save(figure: Figure, path: Path, provenance: dict[str, Any], dpi: int | None = None) -> Path:
    kind = path.suffix[1:]
    facts = _facts(provenance)
    metadata: dict[str, dict[str, str | None]] = {
        "png": {"Description": facts},
        "pdf": {"Keywords": facts, "CreationDate": None},
        "svg": {"Description": facts, "Date": None},
    }
    with style():
        arrange(figure)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=dpi or DPI, metadata=metadata[kind])
    return path


def _facts(provenance: dict[str, Any]) -> str:
    """Returns facts as strict JSON in ASCII, which PNG and PDF text is; NaN and infinity as text."""
    finite = json.loads(json.dumps(provenance, default=str), parse_constant=str)
    return json.dumps(finite, sort_keys=True, separators=(",", ":"))
