"""Views and boxes against the published code's, and wrong rules one at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from published import boxes, geometry
from published.boxes import check_boxes
from published.colors import check_colors
from published.distributions import compare_values
from published.document import Node
from published.geometry import check_geometry, check_resizing
from published.report import BEYOND, Report
from torchvision.transforms.v2 import InterpolationMode

from psmt_viz.data import views
from psmt_viz.train.cutmix import Mix
from tests.analysis.trimmed_files import beyond, compared, preset


@pytest.mark.parametrize(("check", "least"), [(check_geometry, 25), (check_colors, 15), (check_boxes, 35)])
def test_views_and_boxes_are_distributed_alike(monkeypatch, check, least):
    monkeypatch.setattr("published.colors.STRONG_VIEWS", 4000)
    monkeypatch.setattr("published.colors.DRAWS", 20_000)
    monkeypatch.setattr(boxes, "BATCHES", 10_000)
    report = compared(check, "views")
    assert report.passed, report.table()
    assert len(report.rows) >= least


def other_shape(document):
    """Cityscapes' sizes do not depend on the image's own, so those of another image follow."""
    numbers = copy.deepcopy(document["geometry_cityscapes"]["images"]["512x1024"])
    for side, old, new in (("height", 512, 600), ("width", 1024, 1000)):
        scale = numbers[f"scale_{side}"]
        scale["mean"], scale["sd"] = scale["mean"] * old / new, scale["sd"] * old / new
        scale["quantiles_%"] = {share: value * old / new for share, value in scale["quantiles_%"].items()}
    document["geometry_cityscapes"]["images"] = {"600x1000": numbers}


def test_geometry_of_another_image():
    report = compared(check_geometry, "views", "geometry_cityscapes", change=other_shape)
    assert report.passed, report.table()


def test_geometry_of_another_base_and_crop():
    """A base of 640 is the published one of 600 with everything 16/15 times as large."""

    def change(document):
        voc = document["geometry_voc"]
        voc["base_size"], voc["crop"] = 640, 560
        numbers = next(iter(voc["images"].values()))
        numbers["long_side"]["mean"] += 50
        numbers["long_side"]["quantiles_%"] = {k: v * 16 / 15 for k, v in numbers["long_side"]["quantiles_%"].items()}
        document.pop("geometry_cityscapes")

    wrong = beyond(compared(check_geometry, "views", "geometry_voc", "geometry_cityscapes", change=change))
    assert not any("long side" in piece for piece in wrong)
    assert any("scale of the height" in piece for piece in wrong)  # stated for 600


def bilinear(patch):
    resize = views.vf.resize
    wrong = lambda image, size, **given: resize(image, size, **{**given, "interpolation": InterpolationMode.BILINEAR})  # noqa: E731
    patch.setattr(views.vf, "resize", wrong)


def without_antialiasing(patch):
    resize = views.vf.resize
    patch.setattr(views.vf, "resize", lambda image, size, **given: resize(image, size, **{**given, "antialias": False}))


def nearest_exact(patch):
    wrong = lambda old, new: ((torch.arange(new) + 0.5) * old / new).long().clamp(max=old - 1)  # noqa: E731
    patch.setattr(views, "_nearest", wrong)


@pytest.mark.parametrize(
    ("fault", "piece"),
    [(bilinear, "image, levels"), (without_antialiasing, "image, levels"), (nearest_exact, "other labels")],
)
def test_wrong_resizing_is_seen(monkeypatch, fault, piece):
    fault(monkeypatch)
    assert any(piece in each for each in beyond(compared(check_resizing, "views")))


def equal_kernels(patch):
    patch.setattr(views, "_KERNEL_WEIGHTS", (1.0, 1.0, 1.0))


def weak_jitter(patch):
    preset(patch, "voc", jitter=(0.4, 0.5, 0.5, 0.25))


def more_grey(patch):
    chance = views._chance
    wrong = lambda probability, generator: chance(0.25 if probability == 0.2 else probability, generator)  # noqa: E731
    patch.setattr(views, "_chance", wrong)


@pytest.mark.parametrize(
    ("fault", "piece"), [(equal_kernels, "kernels"), (weak_jitter, "brightness"), (more_grey, "shares")]
)
def test_wrong_colours_are_seen(monkeypatch, fault, piece):
    monkeypatch.setattr("published.colors.DRAWS", 20_000)
    fault(monkeypatch)
    assert any(piece in each for each in beyond(compared(check_colors, "views", "photometric_voc")))


def long_side_of_cityscapes(patch):
    preset(patch, "cityscapes", base_size=None, long_side=(1024, 4096))


def narrow_scales(patch):
    preset(patch, "voc", long_side=(300, 1170))


def never_mirrored(patch):
    draw = geometry.draw_geometry
    patch.setattr(geometry, "draw_geometry", lambda *args: replace(draw(*args), mirrored=False))


def crop_at_the_corner(patch):
    draw = geometry.draw_geometry
    patch.setattr(geometry, "draw_geometry", lambda *args: replace(draw(*args), top=0))


def grey_padding(patch):
    patch.setattr(views, "MEAN_COLOUR", [128.0, 128.0, 128.0])


@pytest.mark.parametrize(
    ("fault", "piece"),
    [
        (long_side_of_cityscapes, "cityscapes"),
        (narrow_scales, "voc"),
        (never_mirrored, "shares of draws"),
        (crop_at_the_corner, "vertical offset"),
        (grey_padding, "padding"),
    ],
)
def test_wrong_geometry_is_seen(monkeypatch, fault, piece):
    monkeypatch.setattr(geometry, "DRAWS", 10_000)
    fault(monkeypatch)
    assert any(piece in each for each in beyond(compared(check_geometry, "views", change=other_shape)))


def mixing(patch, change):
    draw = boxes.draw_mix

    def wrong(*args, **given):
        mix = draw(*args, **given)
        return Mix(boxes=tuple(change(box) for box in mix.boxes))

    patch.setattr(boxes, "draw_mix", wrong)


def one_place_for_all(patch):
    mixing(patch, lambda box: replace(box, corners=box.corners[:1].expand_as(box.corners)))


def partners_in_a_ring(patch):
    mixing(patch, lambda box: replace(box, partner=torch.arange(len(box.partner)).roll(1)))


def kinds_swapped(patch):
    preset(patch, "voc", cutmix="three")


@pytest.mark.parametrize(
    ("fault", "piece"),
    [(one_place_for_all, "voc boxes"), (partners_in_a_ring, "own partners"), (kinds_swapped, "boxes an image")],
)
def test_wrong_boxes_are_seen(monkeypatch, fault, piece):
    monkeypatch.setattr(boxes, "BATCHES", 2000)
    fault(monkeypatch)
    assert any(piece in each for each in beyond(compared(check_boxes, "views", "cutmix_voc", "cutmix_cityscapes")))


def test_a_small_sample_is_judged_by_its_own_error():
    values = torch.linspace(0, 1, 20_001).tolist()
    quantiles = {"25": 0.2772, "50": 0.5, "75": 0.75}

    def verdict(n):
        report, numbers = Report(), {"n": n, "mean": 0.5, "sd": 0.289, "quantiles_%": quantiles}
        compare_values(report, "values", values, Node(numbers, Path("file.json")))
        return report.rows[-1].verdict

    assert verdict(20_000) == BEYOND
    assert verdict(2_000) == "ok"
