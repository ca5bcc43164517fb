"""Commands for data sets: `checks` and `data`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from psmt_viz.cli.app import app, say
from psmt_viz.cli.flags import Out
from psmt_viz.cli.settings import Folder, folder_settings
from psmt_viz.errors import UserError
from psmt_viz.files import output_folder

if TYPE_CHECKING:
    import pandas as pd


@app.command
def checks(
    *,
    data: Annotated[str, Parameter(help="A folder of images and masks.")],
    folder: Folder = None,
    out: Out = None,
) -> int:
    """List every fault of a data set, each with its fix; exit status 2 if one of them is an error."""
    if data == "scenes":
        raise UserError("a folder to check", "the built-in scenes, which have no files", "give a folder")
    from psmt_viz.data.checks import check
    from psmt_viz.results import write_csv

    root = Path(data).expanduser()
    checked = check(root, **folder_settings(folder))
    place = output_folder(out, "checks", root.resolve().name)
    write_csv(place / "checks.csv", checked.faults)
    print("\n".join(checked.lines()))
    errors = int((checked.faults["severity"] == "error").sum())
    if not checked.shares.empty:
        write_csv(place / "classes.csv", checked.shares)
        print(_shares(checked.shares))
    if not errors:
        _draw_sheet(root, folder_settings(folder), place / "checks.png")
    print(f"{errors} errors, {len(checked.faults) - errors} warnings in {data}")
    say(place / "checks.csv")
    return 2 if errors else 0


def _shares(shares: pd.DataFrame) -> str:
    """Returns the share of the pixels of each class in each list, in %, as a table."""
    table = shares.pivot_table("share", "class", "list", sort=False).mul(100)
    return f"share of the pixels, in %:\n{table.to_string(float_format='{:.3g}'.format)}"


def _draw_sheet(root: Path, options: dict[str, Any], path: Path) -> None:
    """Draws some of the images with their masks, so that one sees whether they fit."""
    from psmt_viz import figures
    from psmt_viz.data import open_data
    from psmt_viz.data.sheet import sample

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said already
        opened = open_data(str(root), **options)
    pairs = sample(opened)
    figures.export_png(figures.draw_sheet(pairs, opened.classes), path, {"data": opened.name})


@app.command
def data(
    source: Annotated[str, Parameter(help="`scenes`, or a folder of images and masks.")] = "scenes",
    *,
    folder: Folder = None,
    out: Annotated[
        Path | None, Parameter(help="Folder to write the data set to, in Pascal VOC's layout; default: none.")
    ] = None,
) -> None:
    """Summarise a data set; with --out, write it as a folder in Pascal VOC's layout."""
    from psmt_viz.data import DataFolder, open_data, write_voc

    opened = open_data(source, **folder_settings(folder))
    print(f"{opened.name}: {len(opened.ids('train'))} training and {len(opened.ids('val'))} validation images")
    print(f"{len(opened.classes)} classes: {', '.join(opened.classes)}")
    own = opened.splits() if isinstance(opened, DataFolder) else ()
    for name in own or ("1_16", "1_8", "1_4", "1_2"):
        split = opened.split(name)
        print(f"split {name}: {len(split.labeled)} labelled, {len(split.unlabeled)} unlabelled")
    if out is not None:
        write_voc(opened, output_folder(out, "data", opened.name))
        say(out)
