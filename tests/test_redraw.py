"""Saved results draw themselves again, in a Python that cannot import torch, and to the same bytes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.figures.table import figures
from psmt_viz.files import sha256
from psmt_viz.redraw import gather, redraw
from psmt_viz.results import RESULTS, Evaluation, PixelEmbedding, Saved, ScoreTable, Training
from tests.commands import blank_figures, coarse_figures, files
from tests.figures import synthetic

WITHOUT = ("torch", "torchvision", "timm", "sklearn", "openTSNE", "pytorch_grad_cam", "lightning_fabric")
ROOT = Path(__file__).parents[1]
FIGURES = {
    *("confusion", "class_iou", "fig3a_rampup", "fig3b_miou", "fig1_gradcam", "fig2_tsne"),
    *("flips", "judges", "transfer", "where", "closeup", "reliability"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result of every sort, and no figure."""
    folder = tmp_path_factory.mktemp("results")
    scores = synthetic.evaluation()
    for result in (
        scores,
        synthetic.cams(),
        synthetic.embedding(40),
        synthetic.flips(("vat", "tvat", "random"), judges=("student", "ensemble"), eps=(0.5, 2.0, 8.0)),
        synthetic.closeup(),
        Training(runs=(synthetic.curves(),)),
        synthetic.reliability(),
        ScoreTable.of([("0016", scores)]),
    ):
        result.save(folder)
    return folder


@pytest.fixture(scope="module")
def redrawn(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a Python without torch made of it."""
    out = tmp_path_factory.mktemp("redrawn")
    arguments = ["figures", "--from", str(results), "--out", str(out)]
    found = without_torch(*arguments)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1] == f"results: {out}"
    return out


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {WITHOUT!r}:
            raise ImportError(f"{{name}} is not installed")
sys.meta_path.insert(0, Missing())
try:
    import torch
except ImportError:
    pass
else:
    raise SystemExit("torch could be imported")
from psmt_viz.cli import main
from tests.commands import coarse_figures
with coarse_figures():
    sys.exit(main({list(arguments)!r}))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_python_without_torch_redraws_everything(redrawn: Path) -> None:
    written = files(redrawn)
    for name in FIGURES:
        assert {f"{name}.{suffix}" for suffix in ("png", "pdf", "svg", "provenance.json")} <= written
    assert {"table1.csv", "table1.md", "table1.tex", "index.html", "manifest.json"} <= written
    assert not {"pixels.parquet", "flips.csv"} & written  # numbers stay where they are


def test_redrawing_gives_the_same_bytes(results: Path, redrawn: Path, tmp_path: Path) -> None:
    with coarse_figures():
        redraw(results, tmp_path)
    assert files(tmp_path) == files(redrawn)
    assert {name for name in files(redrawn) if (tmp_path / name).read_bytes() != (redrawn / name).read_bytes()} == set()


def test_the_table_is_the_same_from_its_csv_alone(results: Path, redrawn: Path) -> None:
    assert (redrawn / "table1.csv").read_bytes() == (results / "table1.csv").read_bytes()
    # Markdown and LaTeX as from the table itself.
    own = figures(ScoreTable.of([("0016", synthetic.evaluation())]))
    for name in ("table1.md", "table1.tex"):
        assert (redrawn / name).read_text() == own[name]
    assert "0016" in (redrawn / "table1.md").read_text()  # a name, not the number 16


def test_in_place_numbers_stay_and_the_manifest_keeps_what_it_knew(results: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "here"))
    before = {name: sha256(folder / name) for name in files(folder)}
    # Numbers that are not written again keep their hash; a figure that is drawn again has the hash of the new file.
    outputs = {"tsne": {"pixels.parquet": "1", "fig2_tsne.png": "stale"}, "report": {"index.html": "stale"}}
    known = {"run": {"run": "x"}, "inputs": {"config.json": "0"}, "outputs": outputs}
    (folder / "manifest.json").write_text(json.dumps(known))
    with blank_figures():
        redraw(folder, folder)
    assert {name: sha256(folder / name) for name in before} == before
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["run"], manifest["inputs"]) == (known["run"], known["inputs"])
    assert manifest["outputs"]["tsne"]["pixels.parquet"] == "1"
    drawn = {name: value for each in manifest["outputs"].values() for name, value in each.items()} | {
        "pixels.parquet": ""
    }
    assert {name for name in drawn if name != "pixels.parquet" and drawn[name] != sha256(folder / name)} == set()
    assert "index.html" in manifest["outputs"]["report"]
    # Once more, nothing changes.
    whole = {name: sha256(folder / name) for name in files(folder)}
    with blank_figures():
        redraw(folder, folder)
    assert {name: sha256(folder / name) for name in files(folder)} == whole


@pytest.mark.parametrize("kept", ["evaluation.json", "curves.json", "gradcam.json", "tsne.json", "health.json"])
def test_one_sort_of_results_is_enough(results: Path, tmp_path: Path, kept: str) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "one"))
    facts = {"evaluation.json", "curves.json", "gradcam.json", "tsne.json", "health.json", "closeup.json", "table1.csv"}
    for name in facts - {kept}:
        (folder / name).unlink()
    (out := tmp_path / "out").mkdir()
    with blank_figures():
        redraw(folder, out)
    pictures = {name for name in files(out) if name.endswith(".png")}
    assert pictures
    assert pictures < {f"{name}.png" for name in FIGURES | {"teachers"}}
    assert (out / "index.html").is_file()


def test_what_was_saved_is_what_is_read(results: Path) -> None:
    saved = Saved.load(results)
    assert saved.results.keys() == RESULTS.keys()
    embedding, training = saved.get(PixelEmbedding), saved.get(Training)
    pd.testing.assert_frame_equal(embedding.pixels, synthetic.embedding(40).pixels, check_dtype=False)
    assert embedding.images.equals(synthetic.embedding(40).images)
    pd.testing.assert_frame_equal(training.runs[0].metrics, synthetic.curves().metrics)
    assert training.runs[0].ramp == synthetic.curves().ramp


def test_a_run_shows_its_scores_and_curves_and_what_lies_in_its_folder_of_figures(
    psmt_run: Path, results: Path, tmp_path: Path
) -> None:
    saved = gather(psmt_run)
    assert set(saved.results) == {"evaluate", "curves", "table"}
    run = Path(shutil.copytree(psmt_run, tmp_path / "run"))
    shutil.copytree(results, run / "figures")
    saved = gather(run)
    assert saved.get(PixelEmbedding) is not None
    assert saved.get(Evaluation).classes == synthetic.evaluation().classes  # of the figures, which were made later
    assert gather(None).get(Training).runs[0].name == "scenes"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pixels.parquet", b"not a table", "a Parquet table in .*pixels.parquet, got"),
        ("pixels.parquet", None, "a table .*pixels.parquet, got nothing there; run psmt-viz tsne again"),
        ("pixel_images.parquet", None, "a table .*pixel_images.parquet"),
        ("cams.npz", None, "maps in .*cams.npz, got nothing there"),
        ("tsne.json", b"{", "JSON in .*tsne.json"),
        ("flips_by_class.csv", None, "a table .*flips_by_class.csv"),
    ],
)
def test_a_damaged_result_is_named(
    results: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "damaged"))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        Saved.load(folder)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"saved results \(.*tsne.json.*\) in .*, got none of them; give a folder that"):
        gather(tmp_path)
    with pytest.raises(UserError, match="got no such folder"):
        gather(tmp_path / "nowhere")
