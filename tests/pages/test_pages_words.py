"""What the pages say of flags, files and columns is so, and all of it is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.pages import documented
from tests.pages.disk import Place
from tests.pages.documented import DOCS, ROOT


def test_blocks_say_what_they_are() -> None:
    for block in documented.blocks():
        assert block.language in ("bash", "python", "text"), f"{block.page}:{block.line}: {block.language}"
        if block.page != "README.md" and block.language == "text":
            first = block.code.split(maxsplit=1)[0]
            assert first not in documented.CLASSES, f"{block.page}:{block.line} is a command; call it bash"


@pytest.mark.parametrize("page", documented.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_flags_in_the_text_are_flags(page: Path) -> None:
    known = {"--help", "--version", *(flag for command in documented.COMMANDS for flag in documented.flags_of(command))}
    for span in documented.spans(page.read_text(encoding="utf-8")):
        if span.split()[0] in {*documented.CLASSES} - {"psmt-viz"}:
            continue
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span):
            assert flag in known, f"{flag} in `{span}`"
        words = span.split()
        if words[0] == "psmt-viz" and len(words) > 1 and words[1][0].isalpha():
            assert words[1] in documented.COMMANDS, span
            assert {word for word in words if word.startswith("--")} <= {"--help", *documented.flags_of(words[1])}, span


def test_every_command_has_a_page_in_which_all_that_is_written_is_told(place: Place) -> None:
    assert {path.stem for path in (DOCS / "commands").glob("*.md")} == {*documented.COMMANDS, "index"}
    saved = place.things["figures"]
    names = {path.name for path in saved.iterdir()}
    told = [name for name in documented.told_files("figures") if not name.startswith("closeup.")]
    assert sorted(told) == sorted(names)


TABLES = {
    "evaluate": ("evaluation.csv", "confusion.csv"),
    "perturb": (
        *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
        "flips_confusion.csv",
    ),
    "tsne": ("pixels.parquet", "pixel_images.parquet"),
    "gradcam": ("gradcam.csv",),
    "table": ("table1.csv",),
}


@pytest.mark.parametrize("command", TABLES)
def test_every_column_is_told(place: Place, command: str) -> None:
    told = _told_names(command)
    for name in TABLES[command]:
        path = place.things["figures"] / name
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        for column in table:
            assert documented.matches(column, told), f"docs/commands/{command}.md does not tell {column} of {name}"


def test_columns_of_a_run_and_of_its_curves_are_told(place: Place) -> None:
    told = _told_names("train")
    for name in ("metrics.csv", "timing.csv"):
        for column in pd.read_csv(place.things["runs/mine"] / name):
            assert column in told, column
    assert {*pd.read_csv(place.things["figures"] / "curves.csv")} <= {*told, *_told_names("curves")}


def test_facts_of_a_map_are_told(place: Place) -> None:
    facts = json.loads((place.things["figures"] / "tsne.json").read_text())
    for part in ("subject", "asked", "used", "measured"):
        assert facts[part].keys() <= {*_told_names("tsne")}, part


def test_methods_of_maps_are_told() -> None:
    from psmt_viz.probes.cam_methods import METHODS

    assert {*METHODS} <= {*_told_names("gradcam")}


def test_shares_of_faithfulness_are_told() -> None:
    from psmt_viz.probes.cam_faithfulness import SHARES

    *first, last = (f"{100 * share:.0f}" for share in SHARES)
    text = (DOCS / "guide" / "reading.md").read_text(encoding="utf-8")
    assert f"{', '.join(first)} and {last} % of the pixels" in " ".join(text.split())


def test_kinds_of_perturbation_are_told() -> None:
    from psmt_viz.kinds import KINDS

    assert {*KINDS} <= {*_told_names("perturb")}


def _told_names(command: str) -> list[str]:
    return documented.spans(documented.page_of(command))
