"""Noise, lengths, views and validation against the published code's outputs, and wrong rules one at a time."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import against_published
import pytest
import torch
from published import boxes, geometry, lengths, noise, windows
from published.boxes import check_boxes
from published.colors import check_colors
from published.distributions import compare_values
from published.document import Node, read
from published.geometry import check_geometry, check_resizing
from published.lengths import check_lengths
from published.noise import check_noise
from published.report import BEYOND, INPUTS, Report
from published.validation import check_whole_images
from published.windows import check_windows
from torchvision.transforms.v2 import InterpolationMode

from psmt_viz import metrics, presets
from psmt_viz.data import views
from psmt_viz.data.cutmix import Mix
from psmt_viz.models import inference
from psmt_viz.probes import evaluate

FOLDER = Path(__file__).parent / "published"


@cache
def stated(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def compared(check, name, *parts, change=None):
    """The report of a check on a trimmed file, or on some of its parts."""
    document = copy.deepcopy(stated(name))
    if parts:
        document = {key: document[key] for key in ("file", "rule", *parts) if key in document}
    if change is not None:
        change(document)
    report = Report()
    check(Node(document, FOLDER / f"{name}.json"), report)
    return report


def beyond(report):
    return [row.piece for row in report.rows if row.verdict == BEYOND]


# ---------------------------------------------------------------- the published code


@pytest.mark.parametrize(
    ("check", "name", "least"),
    [
        (check_noise, "noise", 50),
        (check_lengths, "lengths", 21),
        (check_windows, "val", 9),
        (check_resizing, "views", 12),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_product_agrees(check, name, least):
    report = compared(check, name)
    assert report.passed, report.table()
    assert len(report.rows) >= least


def test_whole_images_are_the_same_in_float64():
    report = compared(check_whole_images, "val")
    assert report.passed, report.table()
    assert {row.tolerance for row in report.rows if "logits" in row.piece} == {1e-10}
    assert {row.tolerance for row in report.rows if "label map" in row.piece} == {0}


@pytest.mark.parametrize(("check", "least"), [(check_geometry, 25), (check_colors, 15), (check_boxes, 35)])
def test_views_and_boxes_are_distributed_alike(monkeypatch, check, least):
    monkeypatch.setattr("published.colors.STRONG_VIEWS", 4000)
    monkeypatch.setattr("published.colors.DRAWS", 20_000)
    monkeypatch.setattr(boxes, "BATCHES", 10_000)
    report = compared(check, "views")
    assert report.passed, report.table()
    assert len(report.rows) >= least


# ---------------------------------------------------------------- other numbers


def renumbered(document, path, *changes):
    """Replaces texts in the words at a path."""
    for old, new in changes:
        assert old in document["rule"][path]
        document["rule"][path] = document["rule"][path].replace(old, new)


def test_noise_of_another_base_batch_and_step():
    """Inputs and outputs by the words alone, with networks of other sizes."""

    def source(seed):
        return torch.Generator().manual_seed(seed)

    def change(document):
        renumbered(
            document, "small", ("2000+50000+100*i", "40+50+7*i"), ("8 -> 16", "5 -> 6"), ("5 classes", "4 classes")
        )
        renumbered(document, "small", ("24x24", "9x11"), ("0.01 for", "0.05 for"))
        renumbered(
            document, "inputs", ("j = 0, 1, 2 for B = 1, 2, 8", "j = 0, 1 for B = 3, 5"), ("(8,12,12)", "(5,4,6)")
        )
        renumbered(document, "inputs", ("2000+60000+j", "40+600+j"), ("2000+61000+j", "40+700+j"))
        z, u = (torch.rand(5, 5, 4, 6, generator=source(40 + number + 1)) for number in (600, 700))
        document["inputs_sha256_z_u"] = {"small|B=5": [noise.sha256(z), noise.sha256(u)]}
        nets = [noise.SmallDecoder(90 + 7 * i, (5, 6, 4), 0.05, (9, 11)).double() for i in (1, 2)]
        mean = lambda values: sum(net(values) for net in nets) / 2  # noqa: E731
        z, d = z.double(), u.double() - 0.5
        d = (d / (d.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)).requires_grad_()
        p, q = mean(z).softmax(1), mean(z + 0.1 * d).softmax(1)
        (p * (p.log() - q.log())).sum().div(5).backward()
        r = 2 * d.grad / (d.grad.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)
        flips = (mean(z).argmax(1) != mean(z + r).argmax(1)).flatten(1).sum(1)
        case = {
            "norm": r.flatten(1).norm(dim=1).tolist(),
            "argmax_flips": flips.tolist(),
            "r_first5_image0": r[0].flatten()[:5].tolist(),
            "r_first5_last_image": r[-1].flatten()[:5].tolist(),
        }
        document["cases"] = {"small_flat|B=5|xi=0.1|float64": case}

    report = compared(check_noise, "noise", change=change)
    assert report.passed, report.table()
    assert len(report.rows) == 4


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


# ---------------------------------------------------------------- inputs


def test_inputs_that_differ_are_told_apart(capsys):
    report = compared(
        check_noise, "noise", change=lambda document: renumbered(document, "inputs", ("2000+61000", "2000+61001"))
    )
    assert {row.verdict for row in report.rows} == {INPUTS}
    assert not report.passed
    report = compared(check_resizing, "views", change=lambda d: renumbered(d, "resize_examples", ("+90000", "+90001")))
    assert INPUTS in {row.verdict for row in report.rows}


# ---------------------------------------------------------------- wrong rules, one at a time


def floor_wrong(patch, change):
    search = noise.adversarial_perturbation
    patch.setattr(noise, "adversarial_perturbation", lambda *args, **given: search(*args, **{**given, **change(given)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda given: {"floor": given["floor"] * given["xi"] / given["batch"]},
        lambda given: {"batch": 2 * given["batch"]},
        lambda given: {"batch": 1},
        lambda given: {"start": given["start"].flip(-1)},
        lambda given: {"eps": 1.0},
        lambda given: {"floor": 0.0},
    ],
    ids=["floor on the offset", "two passes", "no batch", "another start", "another eps", "no floor"],
)
def test_a_wrong_search_is_seen(monkeypatch, change):
    floor_wrong(monkeypatch, change)
    wrong = beyond(compared(check_noise, "noise"))
    assert any("float64" in piece for piece in wrong)


def preset(patch, name, **values):
    changed = {**presets.PRESETS[name], **values}
    patch.setattr(presets, "PRESETS", MappingProxyType({**presets.PRESETS, name: changed}))


def warmup_over_unlabelled(patch):
    resolve = lengths.resolve

    def wrong(config, split):
        plan = resolve(config, split)
        steps = config.method.warmup_epochs * plan.steps_per_epoch
        return replace(plan, warmup_steps=steps, total_steps=plan.total_steps - plan.warmup_steps + steps)

    patch.setattr(lengths, "resolve", wrong)


def ramp_from_the_warmup(patch):
    weight = lengths.unsup_weight
    patch.setattr(lengths, "unsup_weight", lambda config, plan, step: weight(config, plan, step - plan.ramp_steps // 4))


def rate_from_the_warmup(patch):
    rate = lengths.learning_rate
    wrong = lambda config, plan, step: rate(config, replace(plan, warmup_steps=0), step)  # noqa: E731
    patch.setattr(lengths, "learning_rate", wrong)


def rate_of_one_gpu(patch):
    preset(patch, "voc", lr_batch=None)


def other_epochs(patch):
    patch.setattr(presets, "SPLIT_SETTINGS", MappingProxyType({}))


@pytest.mark.parametrize(
    "fault", [warmup_over_unlabelled, ramp_from_the_warmup, rate_from_the_warmup, rate_of_one_gpu, other_epochs]
)
def test_wrong_lengths_are_seen(monkeypatch, fault):
    fault(monkeypatch)
    assert beyond(compared(check_lengths, "lengths"))


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


def other_window(document):
    """A window whose stride is 34 only if it is rounded up, over an image, by loops."""
    seed, (height, width), tops, lefts = 82_300, (71, 98), (0, 21), (0, 34, 48)
    network = windows.SmallNetwork.drawn(seed, 8, 19)
    image = torch.randn((1, 3, height, width), generator=torch.Generator().manual_seed(seed + 9))
    total = torch.zeros(19, height, width)
    for top in tops:
        for left in lefts:
            place = (slice(None), slice(top, top + 50), slice(left, left + 50))
            total[place] += network.decode(network.encode(image[:, *place]), (50, 50))[0]
    label = total.argmax(0)
    case = {
        "size": [height, width],
        "window": 50,
        "window_rows": list(tops),
        "window_columns": list(lefts),
        "argmax_sha256": noise.sha256(label.to(torch.uint8)),
        "argmax_counts": torch.bincount(label.flatten(), minlength=19).tolist(),
        "summed_logits": {"0,0": total[:, 0, 0].tolist(), "30,60": total[:, 30, 60].tolist()},
    }
    document["sliding_windows"].append(case)


def test_another_window():
    report = compared(check_windows, "val", "sliding_windows", change=other_window)
    assert report.passed, report.table()
    assert len(report.rows) == 12
    assert max(row.difference for row in report.rows) < 1e-6


def stride(patch, rule):
    class Math:
        ceil = staticmethod(rule)

    patch.setattr(inference, "math", Math)


def rounded_stride(patch):
    stride(patch, round)


def stride_cut_off(patch):
    stride(patch, int)


def windows_that_stick_out(patch):
    patch.setattr(inference, "_starts", lambda length, window, step: [*range(0, max(1, length - window), step)])


def padding_at_the_end(patch):
    slide = windows.sliding_logits

    def wrong(network, images, *, window, stride, fill):
        missing = [max(0, window - length) for length in images.shape[-2:]]
        padded = torch.nn.functional.pad(images, (0, missing[1], 0, missing[0]), value=fill)
        logits = slide(network, padded, window=window, stride=stride, fill=fill)
        return logits[..., : images.shape[-2], : images.shape[-1]]

    patch.setattr(windows, "sliding_logits", wrong)


@pytest.mark.parametrize("fault", [rounded_stride, stride_cut_off, windows_that_stick_out, padding_at_the_end])
def test_wrong_windows_are_seen(monkeypatch, fault):
    fault(monkeypatch)
    assert any("windows elsewhere" in piece for piece in beyond(compared(check_windows, "val", change=other_window)))


def one_teacher_alone(patch):
    whole = evaluate.whole_logits
    wrong = lambda bundle, images: {"ensemble": whole(bundle, images)["teacher1"]}  # noqa: E731
    patch.setattr("published.validation.whole_logits", wrong)


def no_stretching(patch):
    patch.setattr(inference, "padded_size", lambda size, multiple=8: tuple(size))


def absent_classes_left_out(patch):
    patch.setattr("published.validation.mean_iou", lambda matrix, absent: metrics.mean_iou(matrix[:20, :20]))


@pytest.mark.parametrize(
    ("fault", "piece"),
    [(one_teacher_alone, "label map"), (no_stretching, "logits"), (absent_classes_left_out, "mIoU")],
)
def test_wrong_validation_is_seen(monkeypatch, fault, piece):
    fault(monkeypatch)

    assert any(piece in each for each in beyond(compared(check_whole_images, "val")))


# ---------------------------------------------------------------- samples


def test_a_small_sample_is_judged_by_its_own_error():
    values = torch.linspace(0, 1, 20_001).tolist()
    quantiles = {"25": 0.2772, "50": 0.5, "75": 0.75}

    def verdict(n):
        report, numbers = Report(), {"n": n, "mean": 0.5, "sd": 0.289, "quantiles_%": quantiles}
        compare_values(report, "values", values, Node(numbers, Path("file.json")))
        return report.rows[-1].verdict

    assert verdict(20_000) == BEYOND
    assert verdict(2_000) == "ok"


# ---------------------------------------------------------------- the command


def run(monkeypatch, capsys, *files):
    monkeypatch.setattr(sys, "argv", ["against_published.py", *map(str, files)])
    with pytest.raises(SystemExit) as stop:
        against_published.main()
    seen = capsys.readouterr()
    return stop.value.code, seen.out, seen.err


def test_all_within_their_tolerances_is_status_0(monkeypatch, capsys):
    status, out, err = run(monkeypatch, capsys, FOLDER / "lengths.json", FOLDER / "noise.json")
    assert (status, err) == (0, "")
    heads = [line.split() for line in out.splitlines() if line.startswith("piece")]
    assert heads == [["piece", "difference", "tolerance", "verdict"]] * 2
    assert BEYOND not in out


@pytest.mark.parametrize("order", [1, -1])
def test_one_beyond_its_tolerance_is_status_1(monkeypatch, capsys, tmp_path, order):
    document = copy.deepcopy(stated("lengths"))
    document["rows"][0]["total_steps"] += 1
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(document))
    status, out, _ = run(monkeypatch, capsys, *[wrong, FOLDER / "lengths.json"][::order])
    assert status == 1
    assert out.count(BEYOND) == 2  # the row and the summary


BAD = {
    "nothing there": None,
    "JSON": "{",
    "a JSON object": "[]",
    "`file` one of": '{"file": "golden_else"}',
    "no `file`": "{}",
    "'rows'": '{"file": "golden_lengths"}',
    "stated outputs": '{"file": "golden_lengths", "rows": []}',
    "a whole number": '{"file": "golden_lengths", "rows": [{"preset": "voc-classic", '
    '"batch_per_gpu": "8 labelled + 8 unlabelled", "gpus": 1.5}]}',
    "one of voc": '{"file": "golden_lengths", "rows": [{"preset": "coco"}]}',
    "'rule'": '{"file": "golden_step"}',
    "small|B=2": '{"file": "golden_noise", "rule": {}, "cases": {"large": {}}}',
    "a text": '{"file": 3}',
    "50 or 101": '{"backbone": 7, "weight_seed_base": 1}',
    "a finite number": '{"file": "golden_views", "rule": {}, "padding_value_rgb": ["red"]}',
    "finite": '{"file": "golden_views", "rule": {}, "padding_value_rgb": [NaN, 1, 1]}',
}


@pytest.mark.parametrize("expected", BAD)
def test_a_file_that_cannot_be_used_is_one_line_and_status_2(monkeypatch, capsys, tmp_path, expected):
    path = tmp_path / "bad.json"
    if BAD[expected] is not None:
        path.write_text(BAD[expected])
    status, out, err = run(monkeypatch, capsys, path)
    assert (status, out) == (2, "")
    assert err.startswith("error: expected ")
    assert err.count("\n") == 1
    assert expected in err
    assert "bad.json" in err


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("noise", ("cases", "small|B=2|xi=0.01|float64", "norm", [1.0])),
        ("noise", ("cases", "small|B=2|xi=0.01|float64", "r_first5_image0", [1.0])),
        ("noise", ("rule", "small", "other words")),
        ("views", ("resize_examples", 0, "result_hw", [0, 1])),
        ("views", ("rule", "resize_examples", "no seed")),
        ("val", ("rule", "sliding_network", "conv")),
        ("val", ("sliding_windows", 0, "summed_logits", {"900,0": [1.0]})),
    ],
)
def test_a_damaged_file_is_status_2(monkeypatch, capsys, tmp_path, name, damage):
    *place, value = damage
    document = copy.deepcopy(stated(name))
    for part in ("geometry_voc", "geometry_cityscapes", "photometric_voc", "cutmix_voc", "cutmix_cityscapes"):
        document.pop(part, None)
    for part in ("strong_view_of_a_stated_picture", "whole_image"):
        document.pop(part, None)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document))
    status, _, err = run(monkeypatch, capsys, path)
    assert status == 2
    assert err.startswith("error: expected ")
    assert err.count("\n") == 1


def test_bytes_that_are_no_text(monkeypatch, capsys, tmp_path):
    path = tmp_path / "bytes.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert run(monkeypatch, capsys, path)[0] == 2
    assert run(monkeypatch, capsys, tmp_path)[0] == 2  # a folder
    assert read(FOLDER / "step.json")["file"].text() == "golden_step"
