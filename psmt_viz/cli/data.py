"""Commands for data sets: `checks` and `data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psmt_viz.cli.app import app, say
from psmt_viz.cli.flags import Classes, ListFile, Out
from psmt_viz.errors import UserError
from psmt_viz.files import output_folder


@app.command
def checks(
    *,
    data: Annotated[str, Parameter(help="A folder in Pascal VOC's or Cityscapes' layout.")],
    classes: Classes = (),
    labeled_list: ListFile = None,
    unlabeled_list: ListFile = None,
    val_list: ListFile = None,
    out: Out = None,
) -> int:
    """List every fault of a data set, each with its fix; exit status 2 if one of them is an error."""
    if data == "scenes":
        raise UserError("a folder to check", "the built-in scenes, which have no files", "give a folder")
    from psmt_viz.data.checks import check
    from psmt_viz.results import write_csv

    faults = check(
        Path(data), classes=classes, labeled_list=labeled_list, unlabeled_list=unlabeled_list, val_list=val_list
    )
    folder = output_folder(out, "checks", Path(data).resolve().name)
    write_csv(folder / "checks.csv", faults)
    for fault in faults.itertuples():
        print(f"{fault.severity}: {fault.kind}: {fault.where}: {fault.found}; {fault.fix}")
    errors = int((faults["severity"] == "error").sum())
    print(f"{errors} errors, {len(faults) - errors} warnings in {data}")
    say(folder / "checks.csv")
    return 2 if errors else 0


@app.command
def data(
    source: Annotated[str, Parameter(help="`scenes`, or a folder in Pascal VOC's or Cityscapes' layout.")] = "scenes",
    *,
    classes: Classes = (),
    out: Annotated[
        Path | None, Parameter(help="Folder to write the data set to, in Pascal VOC's layout; default: none.")
    ] = None,
) -> None:
    """Summarise a data set; with --out, write it as a folder in Pascal VOC's layout."""
    from psmt_viz.data import open_data, write_voc

    opened = open_data(source, classes=classes)
    print(f"{opened.name}: {len(opened.ids('train'))} training and {len(opened.ids('val'))} validation images")
    print(f"{len(opened.classes)} classes: {', '.join(opened.classes)}")
    for name in ("1_16", "1_8", "1_4", "1_2"):
        split = opened.split(name)
        print(f"split {name}: {len(split.labeled)} labelled, {len(split.unlabeled)} unlabelled")
    if out is not None:
        write_voc(opened, output_folder(out, "data", opened.name))
        say(out)
