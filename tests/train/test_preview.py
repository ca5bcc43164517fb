import re

import pytest

from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.train import preview as preview_module
from psmt_viz.train.engine import Engine
from psmt_viz.train.preview import preview


def told(config, **engine):
    lines = preview(config, Scenes(), Engine("cpu", system=config.system, **engine), None, seconds=0).splitlines()
    return dict(line.split(": ", 1) for line in lines)


def test_the_plan_of_a_preset():
    plan = told(configure("scenes", {}))
    assert plan["settings"] == "preset scenes, recipe supplement, method psmt, seed 0"
    assert "64 labelled and 448 unlabelled images, 128 to validate" in plan["data"]
    assert plan["batch"] == "8 labelled + 8 unlabelled images per step, in 1 micro-batches of 8 + 8"
    assert plan["learning rate"] == "0.06, whatever the batch"
    assert plan["steps"] == "300 of warm-up, then 20 epochs of 50: 1,300 in all; ramp-up over 350"
    assert "metrics.csv" in plan["files"] and "tensorboard" not in plan["files"]


def test_devices_parts_and_the_rate_that_follows_the_batch():
    values = {"batch_labeled": 32, "batch_unlabeled": 16, "lr": 2.5e-3, "lr_batch": 8, "accumulate": 2}
    plan = told(configure("scenes", values | {"tensorboard": True, "keep_last": 3, "method": "supervised"}), devices=2)
    assert plan["devices"] == "2 x cpu, fp32"
    assert plan["batch"] == "32 labelled images per step, in 4 micro-batches of 8"
    assert plan["learning rate"] == "0.01 = 0.0025 x 32 / 8 labelled images per step"
    assert "the last 3" in plan["files"] and "tensorboard/" in plan["files"]


def test_passes_and_groups_of_the_published_training():
    values = {"warmup_epochs": 5, "steps_per_epoch": None, "epochs": 80, "images_per_gpu": 4, "accumulate": 2}
    plan = told(configure("scenes", values))
    # 64 labelled images are 8 batches, 448 unlabelled ones 56.
    passes = "40 of warm-up (5 passes over the labelled images)"
    assert plan["steps"] == f"{passes}, then 80 epochs of 56: 4,520 in all; ramp-up over 392"
    assert plan["batch"].endswith("in 2 micro-batches of 4 + 4; 2 groups, as on 2 GPUs")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_how_fast_images_are_loaded_and_what_that_means(monkeypatch, tiny, scenes, workers):
    monkeypatch.setattr(preview_module, "images_per_second", lambda feed, first, seconds: feed.workers * 10 + 40.0)
    by, end = {
        0: ("the training process itself", "which adds 0.12 s to it"),
        1: ("1 process", "so one faster than 0.1 s would wait for them"),
        2: ("2 processes", "so one faster than 0.083 s would wait for them"),
    }[workers]
    config = tiny(batch_labeled=2, batch_unlabeled=3, workers=workers)
    words = dict(line.split(": ", 1) for line in preview(config, scenes, Engine(), None).splitlines())["loading"]
    assert words.startswith(f"{workers * 10 + 40} images/s by {by}, measured just now; a step takes 5, ")
    assert words.endswith(f"a step takes 5, {end}")


def test_a_device_of_several_loads_its_share(monkeypatch):
    monkeypatch.setattr(preview_module, "images_per_second", lambda *_, seconds: 4.0)
    plan = told(configure("scenes", {}), devices=2)
    assert plan["loading"].endswith("a step takes 8 for one device, which adds 2 s to it")


def test_an_image_that_cannot_be_read_is_told_beforehand(tiny):
    data = Scenes(train=16, val=4, size=64)
    data.label = lambda id: (_ for _ in ()).throw(UserError("a mask", "none", "add it"))
    with pytest.raises(UserError, match="a mask"):
        preview(tiny(), data, Engine(), None, seconds=0)


def test_a_plan_that_cannot_be():
    with pytest.raises(UserError, match=r"--batch-labeled that 3 devices x --accumulate 1 can share equally, got 8"):
        told(configure("scenes", {}), devices=3)


def test_a_network_that_cannot_be_built():
    with pytest.raises(UserError, match="--backbone a model name"):
        told(configure("scenes", {"backbone": "resnet5000"}))


def test_every_file_of_a_run_is_announced(tiny, scenes, finished):
    folder, _ = finished
    config = tiny()
    lines = preview(config, scenes, Engine(system=config.system), folder, seconds=0).splitlines()
    words = dict(line.split(": ", 1) for line in lines)["files"]
    assert words.startswith(f"{folder}: ")
    stems = {name.partition(".")[0] for name in re.findall(r"[\w-]+\.[\w.]+", words.removeprefix(f"{folder}: "))}
    assert {path.stem for path in folder.iterdir()} <= stems


def test_nothing_is_started_or_written(tiny, scenes, tmp_path):
    config = tiny()
    engine = Engine(system=config.system, devices=2)
    engine.launch = None
    preview(config, scenes, engine, tmp_path / "run", seconds=0)
    assert not list(tmp_path.iterdir())
