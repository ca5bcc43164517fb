"""Noise, lengths and validation against the published code's outputs, and wrong rules one at a time."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from published import lengths, noise, windows
from published.geometry import check_resizing
from published.lengths import check_lengths
from published.noise import check_noise
from published.report import INPUTS
from published.validation import check_whole_images
from published.windows import check_windows

from psmt_viz import metrics, presets
from psmt_viz.models import inference
from psmt_viz.probes import evaluate
from tests.analysis.trimmed_files import beyond, compared, preset, renumbered


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


def test_inputs_that_differ_are_told_apart(capsys):
    report = compared(
        check_noise, "noise", change=lambda document: renumbered(document, "inputs", ("2000+61000", "2000+61001"))
    )
    assert {row.verdict for row in report.rows} == {INPUTS}
    assert not report.passed
    report = compared(check_resizing, "views", change=lambda d: renumbered(d, "resize_examples", ("+90000", "+90001")))
    assert INPUTS in {row.verdict for row in report.rows}


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
    wrong = lambda networks, images: {"ensemble": whole(networks, images)["teacher1"]}  # noqa: E731
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
