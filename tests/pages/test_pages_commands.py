"""Everything that pages and README tell users to type works."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import Run
from tests.pages import documented
from tests.pages.checking import check, read_flags
from tests.pages.disk import Place
from tests.pages.documented import ROOT, Block, Line


def test_commands_are_found_where_they_are() -> None:
    first = documented.lines()[0]
    line = (ROOT / first.page).read_text().splitlines()[first.line - 1]
    assert first.text == line.strip()
    assert replace(first, text="psmt-viz data # 'quoted'").words == ["psmt-viz", "data"]


@pytest.mark.parametrize("line", documented.different(), ids=str)
def test_a_line_works(line: Line, at_work: Run, place: Place) -> None:
    check(line, at_work, place)


def test_the_flags_of_every_command_are_read() -> None:
    # Those that do the same once made smaller are not run; and what is made smaller is not run as it stands.
    for line in documented.lines():
        words = [documented.WORDS.get(word, word) for word in line.words]
        if words[0] == "psmt-viz" and not {"--help", "--version"} & {*words}:
            read_flags(words[1:])


@pytest.mark.parametrize(
    "wrong",
    [
        "psmt-viz tsne --n-pixel 25000",
        "psmt-viz tsne --layout frosen",
        "psmt-viz tsne runs/theirs --n-pixels 25000",
        "psmt-viz evaluate runs/mine --weights epoch-0099",
        "psmt-viz train --preset vok --data ~/VOC2012 --dry-run",
        "psmt-viz import official.pth --outt runs/official",
        "psmt-viz frobnicate",
        "torchrun --nnodes 2 --nproc-per-node 4 -m psmt_viz.cli train --preset cityscapes --dta ~/cityscapes",
        "torchrun --nnodez 2 -m psmt_viz.cli train --preset cityscapes --data ~/cityscapes",
        "python analysis/evidence.py scenes --sedes 0",
        "python analysis/compere.py scenes",
        "make figurs",
        "pip install psmt-viz[imagnet]",
        "pip install psmt-vis",
        "mkdocs serve --strikt",
        "conda install psmt-viz",
    ],
)
def test_a_wrong_command_would_be_seen(
    wrong: str, at_work: Run, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((Exception, SystemExit)):
        check(Line("nowhere", 1, wrong), at_work, place)


def test_every_change_is_of_use() -> None:
    for change in documented.CHANGES:
        assert any(documented.applies(change, line.words) for line in documented.lines()), change


@pytest.mark.filterwarnings("ignore::UserWarning")  # of so few images a training says that they are few
@pytest.mark.parametrize(
    "block",
    [block for block in documented.blocks() if block.language == "python" and not block.title],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_code_works(block: Block, at_work: Run, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put([*re.findall(r'"([^"]+)"', block.code), "my_models.py"], tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    exec(compile(block.code, f"{block.page}:{block.line}", "exec"), {"__name__": "block"})
