"""Commands that ask for what there is not: one line that says what was expected, what was got and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateNotFound

from tests.commands import COMMANDS, Run, files, flags, refused


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_answers(run: Run, command: str | None) -> None:
    found = run(*([command] if command else []), "--help")
    assert found.status == 0
    assert found.err == ""
    assert "Usage: psmt-viz" in found.out
    words = {None: COMMANDS, "train": ("--epochs", "--unsup-weight", "--preset", "--resume")}.get(
        command, (str(command),)
    )
    assert all(word in found.out for word in words)
    assert "--empty-" not in found.out  # cyclopts' twin of flags that take several values, of no use here


def test_a_template_that_the_installation_lacks_is_not_told_as_a_fault_of_the_disk(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TemplateNotFound("page.html")

    monkeypatch.setattr("psmt_viz.make.save_and_draw", broken)
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
        (["perturb", "--classes", "red"], ["--data with --classes, got no --data; name the folder"]),
        (["perturb", "--split-at", "up"], ["--model with --split-at, got no --model"]),
        (["evaluate", "--name", "mine"], ["--model with --name, got no --model"]),
        (["perturb", "--model", "my_models:make"], ["a run or --model, got both"]),
        (["perturb", "--closeup", "nowhere"], ["a validation image of blocks, such as val00", "'nowhere'"]),
        (["perturb", "--closeup", "val00", "--judges", "student", "teacher1"], ["one judge", "student, teacher1"]),
        (["perturb", "--closeup", "val00", "--eps", "0.5", "2", "8", "32"], ["one --eps", "--eps 0.5 2 8 32"]),
        (["perturb", "--closeup", "val00", "--images", "2"], ["--images or --closeup, got both"]),
        (["perturb", "--images", "0"], ["images"]),
        (["perturb", "--images", "-2"], ["images"]),
        (["perturb", "--kinds", "vta"], ["kinds among vat, tvat, teacher1, .*, random", "vta"]),
        (["tsne", "--n-pixels", "50", "--eps", "0"], ["eps above 0"]),
        (["tsne", "--n-pixels", "2"], ["--n-pixels of 3 or more", "got 2"]),
        (["tsne", "--n-pixels", "50", "--classes", "red", "pink"], ["classes among background, red", "'pink'"]),
        (["tsne", "--n-pixels", "50", "--perplexity", "0"], ["perplexity"]),
        (["tsne", "--n-pixels", "50", "--jobs", "0"], ["jobs"]),
        (["tsne", "--n-pixels", "50", "--layer", "q"], ["--layer", "decoder"]),
        (["gradcam", "--target-class", "cat"], ["class among background, red", "'cat'"]),
        (["gradcam", "--eps", "0"], ["eps above 0"]),
        (["gradcam", "--images", "0"], ["images"]),
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
    command, *more = arguments
    refused(run(command, psmt_run, *more, "--out", "out"), *words)
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_written(
    run: Run, blocks_folder: Path, psmt_run: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    subject = {
        "checks": ["--data", blocks_folder],
        "data": [blocks_folder],
        "train": ["--data", blocks_folder, *flags()],
    }
    refused(
        run(command, *subject.get(command, [psmt_run]), "--out", "file/below"), "writable folder file/below", "--out"
    )
    assert files(tmp_path) == {"file"}
