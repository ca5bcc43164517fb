"""What the user can get wrong: one line that says what was expected, what was got and the way out, and no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import VERBS, Run, coarse_figures, files, flags, halve, refused
from jinja2 import TemplateNotFound
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    with coarse_figures():
        yield


# Commands.


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_answers(run: Run, verb: str | None) -> None:
    found = run(*([verb] if verb else []), "--help")
    assert found.status == 0
    assert found.err == ""
    assert "Usage: psmt-viz" in found.out
    words = {None: VERBS, "train": ("--epochs", "--unsup-weight", "--preset", "--resume")}.get(verb, (str(verb),))
    assert all(word in found.out for word in words)
    assert "--empty-" not in found.out  # cyclopts' twin of flags that take several values, of no use here


def test_a_template_that_the_installation_lacks_is_not_told_as_a_fault_of_the_disk(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TemplateNotFound("page.html")

    monkeypatch.setattr("psmt_viz.exhibits.make_curves", broken)
    with pytest.raises(TemplateNotFound):
        run("curves")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--epohcs", "3"], ["--epohcs", r"[Dd]id you mean.*--epochs"]),
        (["evaluate", "--wieghts", "best"], ["--wieghts", r"[Dd]id you mean.*--weights"]),
        (["tsne", "--npixels", "10"], ["--npixels", r"[Dd]id you mean.*--n-pixels"]),
        (["evalaute"], ["evalaute", r"[Dd]id you mean.*evaluate"]),
        (["train", "--epochs", "many"], ["--epochs", "many"]),
        (["train", "--method", "magic"], ["--method", "psmt", "supervised"]),
        (["train", "--preset", "sceens"], ["--preset", "'sceens'", "scenes, voc_mini"]),
        (["train", "--preset", "voc_mini"], ["voc_mini's images", "--data DIR"]),
        (["train", "--config", "nowhere.json"], ["nowhere.json", "nothing there"]),
        (["train", "--recipe", "nonsense"], ["--recipe one of supplement, official-code", "'nonsense'"]),
        (["train", "--devices", "x"], ["--devices as a number", "'x'"]),
        (["train", "--devices", "0"], ["at least one device"]),
        (["train", "--device", "cpu", "--devices", "0,1"], ["a number of processes with --device cpu"]),
        (["train", "--device", "cpu", "--devices", "3"], ["--batch-labeled that 3 devices", "got 8", "multiple of 3"]),
        (["train", "--device", "cpu", "--precision", "fp16"], ["--precision fp16 on a GPU", "bf16 or fp32"]),
        (["train", "--resume"], ["--out with --resume"]),
        (["train", "--labeled-list", "x.txt"], ["--unlabeled-list|labeled_list"]),
        (["evaluate", "nowhere"], ["run folder nowhere", "no such folder"]),
        (["evaluate", "."], [r"run folder", "no config.json"]),
        (["data", "nowhere"], ["folder nowhere", "nothing there"]),
        (["checks"], ["--data"]),
    ],
)
def test_mistyped_commands(run: Run, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    refused(run(*arguments), *words)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("lr", "-1"),
        ("lr", "nan"),
        ("ema", "1.5"),
        ("confidence", "2"),
        ("crop", "8"),
        ("eps", "0"),
        ("epochs", "0"),
        ("epochs", "1.5"),
        ("batch-labeled", "2.7"),
        ("warmup-epochs", "-1"),
        ("steps-per-epoch", "0"),
        ("batch-unlabeled", "0"),
        ("output-stride", "7"),
        ("aspp-rates", "0"),
        ("long-side", "200 100"),
        ("jitter", "2 0 0 0"),
        ("assist-top", "0"),
        ("unsup-weight", "-1"),
        ("unsup-weight", "inf"),
        ("seed", "-1"),
        ("workers", "-1"),
        ("val-every", "0"),
        ("ramp", "linear"),
        ("power", "0"),
        ("split", "1_0"),
        ("device", "nonsense"),
        ("device", "cpu:x"),
        ("backbone", "resnet5000"),
        ("backbone", "vit_base_patch16_224"),
    ],
)
def test_settings_out_of_range(run: Run, blocks_folder: Path, tmp_path: Path, flag: str, value: str) -> None:
    changed = flags(**{flag: value})
    refused(run("train", "--data", blocks_folder, *changed, "--out", "out"), f"--{flag}")
    assert files(tmp_path) == set()


def test_an_unknown_backbone_names_the_nearest(run: Run) -> None:
    refused(run("train", "--backbone", "resnet5O"), "'resnet5O'", "did you mean resnet50")


@pytest.mark.parametrize("name", ["nonsense", "nowhere:Tracker", "json:Tracker", "json:JSONDecoder"])
def test_a_tracker_that_is_none(run: Run, tmp_path: Path, name: str) -> None:
    refused(run("train", "--out", "out", "--tracker", name), f"--tracker .*{name}")
    assert files(tmp_path) <= {"out/config.json"}  # a tracker may read the settings


@pytest.mark.parametrize("split", ["full", "1_1"])
def test_psmt_without_unlabelled_images(run: Run, blocks_folder: Path, tmp_path: Path, split: str) -> None:
    command = ["train", "--data", blocks_folder, "--out", "out", *flags(split=split)]
    refused(run(*command), "unlabelled images for PS-MT, got none", "--method supervised")
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["perturb", "--eps", "0"], ["eps above 0"]),
        (["perturb", "--eps", "-1"], ["eps above 0"]),
        (["perturb", "--eps", "nan"], ["eps above 0"]),
        (["perturb", "--eps", "inf"], ["eps above 0 and finite", "inf"]),
        (["perturb", "--closeup", "val00", "--eps", "0"], ["eps above 0"]),
        (["perturb", "--closeup", "val00", "--eps", "nan"], ["eps above 0"]),
        (["perturb", "--judges", "studnet"], ["judges among student, teacher1, teacher2, ensemble", "studnet"]),
        (["perturb", "--search", "newton"], ["--search", "newton", "exact"]),
        (["perturb", "--norm", "batch"], ["--norm", "batch", "pixel"]),
        (["perturb", "--iterations", "0"], ["at least 1", "iteration"]),
        (["perturb", "--iterations", "0", "--kinds", "random"], ["at least 1", "iteration"]),
        (["perturb", "--iterations", "1.5"], ["--iterations"]),
        (["perturb", "--ascent-steps", "0"], ["at least 1", "step"]),
        (["perturb", "--search", "central-difference", "--objective", "cross-entropy"], ["kl with central"]),
        (["perturb", "--classes", "red"], ["--classes with --model, got a run"]),
        (["perturb", "--model", "my_models:make"], ["a run or --model, got both"]),
        (["perturb", "--closeup", "nowhere"], ["a validation image of blocks, such as val00", "'nowhere'"]),
        (["perturb", "--closeup", "val00", "--judges", "student", "teacher1"], ["one judge", "student, teacher1"]),
        (["perturb", "--closeup", "val00", "--eps", "0.5", "2", "8", "32"], ["one --eps", "--eps 0.5 2 8 32"]),
        (["perturb", "--closeup", "val00", "--images", "2"], ["--images or --closeup, got both"]),
        (["perturb", "--images", "0"], ["images"]),
        (["perturb", "--images", "-2"], ["images"]),
        (["perturb", "--kinds", "vta"], ["kinds among vat, tvat, teacher1, .*, random", "vta"]),
        (["tsne", "--n-pixels", "50", "--eps", "0"], ["eps above 0"]),
        (["tsne", "--n-pixels", "50000"], ["10,000", r"background \d", "--n-pixels [0-9]+ or less"]),
        (["tsne", "--n-pixels", "7"], ["multiple of 5", "got 7", "give 5"]),
        (["tsne", "--n-pixels", "50", "--classes", "red", "pink"], ["classes among background, red", "'pink'"]),
        (["tsne", "--n-pixels", "50", "--perplexity", "0"], ["perplexity"]),
        (["tsne", "--n-pixels", "50", "--jobs", "0"], ["jobs"]),
        (["tsne", "--n-pixels", "50", "--layer", "q"], ["--layer", "decoder"]),
        (["gradcam", "--target-class", "cat"], ["class among background, red", "'cat'"]),
        (["gradcam", "--eps", "0"], ["eps above 0"]),
        (["gradcam", "--images", "0"], ["images"]),
        (["gradcam", "--images", "7"], ["7 images", "at most 6"]),
        (["evaluate", "--device", "nonsense"], ["--device among auto, cpu", "'nonsense'"]),
        (["evaluate", "--weights", "first"], ["weights .*first.safetensors", "best.safetensors, last.safetensors"]),
        (["evaluate", "--data", "nowhere"], ["folder nowhere", "nothing there"]),
        (["evaluate", "--data", "scenes"], ["run's classes background, red", "disk"]),
        (["table", "--weights", "first"], ["weights .*first.safetensors"]),
        (["figures", "--eps", "0", "--n-pixels", "50"], ["eps above 0"]),
    ],
)
def test_bad_requests_to_a_run(
    run: Run, psmt_run: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    verb, *more = arguments
    refused(run(verb, psmt_run, *more, "--out", "out"), *words)
    if verb != "figures":  # which keeps the exhibits that it had finished
        assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.rglob(".*"))


def test_fewer_than_five_classes(run: Run, blocks_folder: Path, tmp_path: Path) -> None:
    small = flags(epochs="1", warmup_epochs="0", steps_per_epoch="1")
    chosen = ["--classes", "background", "red", "green", "blue"]
    assert run("train", "--data", blocks_folder, *chosen, *small, "--out", "four").status == 0
    refused(run("tsne", "four", "--n-pixels", "10", "--out", "out"), "5 classes with correct", "name fewer --classes")
    assert files(tmp_path / "out") == set()


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_cannot_be_written(
    run: Run, blocks_folder: Path, psmt_run: Path, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    subject = {
        "checks": ["--data", blocks_folder],
        "data": [blocks_folder],
        "train": ["--data", blocks_folder, *flags()],
    }
    refused(run(verb, *subject.get(verb, [psmt_run]), "--out", "file/below"), "writable folder file/below", "--out")
    assert files(tmp_path) == {"file"}


# Run folders.


@pytest.fixture
def copied(psmt_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(psmt_run, tmp_path / "copied"))


RUN_VERBS = ("evaluate", "perturb", "tsne", "gradcam", "table", "figures")


@pytest.mark.parametrize("verb", RUN_VERBS)
def test_a_run_without_weights(run: Run, copied: Path, verb: str) -> None:
    for path in copied.glob("*.safetensors"):
        path.unlink()
    refused(run(verb, copied, "--out", "out"), "weights .*last.safetensors", "no weights")
    assert not Path("out").exists()


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_weights_cut_short(run: Run, copied: Path, damage: str) -> None:
    path = copied / "last.safetensors"
    if damage == "half":
        halve(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"no weights at all" * 10)
    refused(run("evaluate", copied, "--out", "out"), "whole weights in .*last.safetensors", "train again")
    assert not Path("out").exists()
    assert run("evaluate", copied, "--weights", "best", "--out", "out").status == 0


def test_a_part_without_images_or_labels(run: Run, copied: Path, blocks_folder: Path, tmp_path: Path) -> None:
    config = copied / "config.json"
    config.write_text(edited(lambda facts: facts["config"]["data"].update(split="full"))(config.read_text()))
    outcome = run("evaluate", copied, "--part", "unlabeled", "--out", "out")
    refused(outcome, "unlabeled images in split full", "none", "--part")
    assert not Path("out").exists()
    data = Path(shutil.copytree(blocks_folder, tmp_path / "data"))
    next((data / "SegmentationClass").glob("*train*")).unlink()
    refused(run("evaluate", copied, "--data", data, "--part", "labeled", "--out", "out"), "SegmentationClass")
    assert not Path("out").exists()


def test_weights_of_another_network(run: Run, copied: Path, supervised_run: Path) -> None:
    shutil.copy(supervised_run / "last.safetensors", copied / "last.safetensors")
    refused(run("evaluate", copied, "--out", "out"), "teacher1's weights", "the run that they belong to")


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        facts = json.loads(text)
        change(facts)
        return json.dumps(facts)

    return apply


CONFIGS: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no object": lambda text: "[]",
    "no configuration": lambda text: "{}",
    "a number for the configuration": lambda text: '{"config": 5}',
    "a word for a number": edited(lambda facts: facts["config"]["method"].update(epochs="many")),
    "nothing for a group": edited(lambda facts: facts["config"].update(views=None)),
    "an unknown setting": edited(lambda facts: facts["config"]["method"].update(epoch=3)),
    "a setting out of range": edited(lambda facts: facts["config"]["method"].update(epochs=-3)),
}


@pytest.mark.parametrize("damage", CONFIGS)
@pytest.mark.parametrize("verb", ["evaluate", "curves", "train"])
def test_a_damaged_config(run: Run, copied: Path, tmp_path: Path, verb: str, damage: str) -> None:
    path = copied / "config.json"
    path.write_text(CONFIGS[damage](path.read_text()))
    refused(run(verb, *(["--config", path] if verb == "train" else [copied]), "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_a_folder(run: Run, copied: Path) -> None:
    refused(run("train", "--config", copied, "--out", "out"), "config")


@pytest.mark.parametrize("damage", ["missing", "empty", "other columns", "no plan"])
def test_curves_of_a_damaged_run(run: Run, copied: Path, tmp_path: Path, damage: str) -> None:
    path = copied / "metrics.csv"
    if damage == "missing":
        path.unlink()
    elif damage == "no plan":
        facts = json.loads((copied / "config.json").read_text()) | {"plan": {}}
        (copied / "config.json").write_text(json.dumps(facts))
    else:
        path.write_text("" if damage == "empty" else "a,b\n1,2\n")
    refused(run("curves", copied, "--out", tmp_path / "out"))
    # Not one of two figures either.
    assert not (tmp_path / "out").exists() or files(tmp_path / "out") == set()


# Data sets.


def without_masks(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        path.unlink()


def with_an_unknown_id(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        mask = np.array(Image.open(path))
        mask[5, 5] = 77
        Image.fromarray(mask).save(path)


def with_smaller_masks(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        Image.fromarray(np.array(Image.open(path))[:-1]).save(path)


def truncated(folder: Path) -> None:
    for path in (folder / "JPEGImages").iterdir():
        halve(path)


def emptied(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "ImageSets" / "Segmentation" / name).write_text("\n")

    return apply


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing folder": (shutil.rmtree, "a folder .*damaged, got nothing there"),
    "empty train list": (emptied("train.txt"), "ids in .*train.txt, got an empty list"),
    "empty val list": (emptied("val.txt"), "ids in .*val.txt, got an empty list"),
    "id without a mask": (without_masks, "a mask .*png, got no such file"),
    "mask with an unknown id": (with_an_unknown_id, "ids 0 to 5 and 255, got 77 .*png"),
    "image and mask of different size": (with_smaller_masks, "one size .* got an image of .* and a mask of"),
    "truncated image": (truncated, "a readable image .*png, got .*truncated"),
}


@pytest.fixture
def broken(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    def make(damage: str) -> Path:
        folder = Path(shutil.copytree(blocks_folder, tmp_path_factory.mktemp("broken") / "damaged"))
        DAMAGES[damage][0](folder)
        return folder

    return make


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", ["train", "evaluate", "tsne"])
def test_damaged_data(
    run: Run,
    broken: Callable[[str], Path],
    psmt_run: Path,
    verb: str,
    damage: str,
) -> None:
    folder = broken(damage)
    before = files(folder)
    subject = flags() if verb == "train" else [psmt_run]
    refused(run(verb, *subject, "--data", folder, "--out", "out"), DAMAGES[damage][1])
    # A training may leave the settings that it was started with, so that it can be resumed.
    assert files(Path()) <= ({"out/config.json"} if verb == "train" else set())
    assert not list(Path().rglob(".*"))
    assert files(folder) == before


@pytest.mark.parametrize("half", ["labeled", "unlabeled"])
def test_an_empty_half_of_a_split(run: Run, blocks_folder: Path, tmp_path: Path, half: str) -> None:
    folder = Path(shutil.copytree(blocks_folder, tmp_path / "data"))
    emptied(f"semi/1_2/{half}.txt")(folder)
    refused(run("train", "--data", folder, *flags(), "--out", "out"), rf"ids in .*1_2/{half}.txt, got an empty list")
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_damaged_data_set_is_listed_with_exit_status_2(
    run: Run, broken: Callable[[str], Path], tmp_path: Path
) -> None:
    found = run("checks", "--data", broken("mask with an unknown id"), "--out", "out")
    assert found.status == 2
    table = pd.read_csv(tmp_path / "out" / "checks.csv")
    assert set(table["kind"]) == {"unknown ids in mask"}
    assert len(table) == 22
    assert len([line for line in found.out.splitlines() if line.startswith("error: unknown ids in mask: ")]) == 22


def test_training_starts_once_the_data_are_mended(run: Run, broken: Callable[[str], Path], blocks_folder: Path) -> None:
    """A run that never took a step must not stand in the way of the same command."""
    folder = broken("truncated image")
    command = ["train", "--data", folder, *flags(epochs="1"), "--out", "train", "--resume"]
    refused(run(*command), "readable image")
    for name in files(blocks_folder / "JPEGImages"):
        shutil.copy(blocks_folder / "JPEGImages" / name, folder / "JPEGImages" / name)
    found = run(*command)
    assert found.status == 0, found.err
