"""Scores against scikit-learn and against a loop over single images and pixels."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from torch.nn import functional as F

import psmt_viz.probes.evaluate as module
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.probes.evaluate import confusion, evaluate, whole_logits
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.kinds import predictor


@pytest.mark.parametrize("classes", [2, 7, 21])
def test_confusion_is_scikit_learns_without_the_ignored_pixels(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth, prediction = rng.integers(0, classes, (2, 3, 17, 19))
    truth[rng.random(truth.shape) < 0.3] = 255
    truth[truth == classes - 1] = 0  # a class that only the prediction has
    seen = truth != 255
    expected = confusion_matrix(truth[seen], prediction[seen], labels=range(classes))
    found = confusion(torch.from_numpy(truth), torch.from_numpy(prediction), classes)
    assert np.array_equal(found.numpy(), expected)
    assert found.sum() == seen.sum() < truth.size


def test_confusion_of_ignored_pixels_alone_is_zero() -> None:
    truth, prediction = torch.full((1, 4, 4), 255), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert confusion(truth, prediction, 3).tolist() == [[0] * 3] * 3


def slow_logits(network: Any, image: np.ndarray) -> Tensor:
    """One image, stretched to the next multiple of 8 and back."""
    height, width = image.shape[:2]
    padded = [
        height if height % 8 == 0 else height + 8 - height % 8,
        width if width % 8 == 0 else width + 8 - width % 8,
    ]
    scaled = torch.from_numpy(image[None].copy()).permute(0, 3, 1, 2).float() / 255
    stretched = F.interpolate(scaled, size=padded, mode="bilinear", align_corners=True)
    return F.interpolate(network(stretched), size=(height, width), mode="bilinear", align_corners=True)[0]


def slow_confusion(networks: Networks, data: Any, ids: tuple[str, ...]) -> dict[str, list[list[int]]]:
    size = len(networks.classes)
    counts = {role: [[0] * size for _ in range(size)] for role in ("student", "teacher1", "teacher2", "ensemble")}
    for id in ids:
        image, truth = data.image(id), data.label(id).tolist()
        single = {
            "student": networks.student,
            "teacher1": networks.teachers["teacher1"],
            "teacher2": networks.teachers["teacher2"],
        }
        with torch.no_grad():
            logits = {role: slow_logits(network, image) for role, network in single.items()}
        logits["ensemble"] = torch.stack([logits["teacher1"], logits["teacher2"]]).mean(dim=0)
        for role, values in logits.items():
            predicted = values.argmax(dim=0).tolist()
            for true_row, predicted_row in zip(truth, predicted, strict=True):
                for true, guess in zip(true_row, predicted_row, strict=True):
                    if true != 255:
                        counts[role][true][guess] += 1
    return counts


def apart(first: Any, second: Any) -> int:
    """Pixels counted in another cell; two at most may sit on a tie that rounding decides."""
    return int(np.abs(np.asarray(first) - np.asarray(second)).sum()) // 2


def test_equals_a_loop_over_images_and_pixels(networks: Networks, blocks: Any) -> None:
    result = evaluate(networks, blocks)
    expected = slow_confusion(networks, blocks, blocks.ids("val"))
    labelled = sum(int((blocks.label(id) != 255).sum()) for id in blocks.ids("val"))
    assert list(result.confusion) == list(expected)
    for role, matrix in result.confusion.items():
        assert matrix.sum() == labelled
        assert np.array_equal(matrix, expected[role])
    # The run has learned, and the roles differ: otherwise mixing them up would go unseen.
    assert all(np.trace(matrix) / labelled > 0.5 for matrix in result.confusion.values())
    assert len({matrix.tobytes() for matrix in result.confusion.values()}) == 4


def test_scores_are_those_of_the_matrix(networks: Networks, blocks: Any) -> None:
    result = evaluate(networks, blocks)
    table = result.table().set_index("role")
    for role, matrix in slow_confusion(networks, blocks, blocks.ids("val")).items():
        shares = []
        for index, name in enumerate(networks.classes):
            hit = matrix[index][index]
            union = sum(matrix[index]) + sum(row[index] for row in matrix) - hit
            shares.append(hit / union)
            assert table.loc[role, f"iou_{name}"] == pytest.approx(hit / union, abs=2e-3)
        assert table.loc[role, "miou"] == pytest.approx(sum(shares) / len(shares), abs=1e-3)


@pytest.mark.parametrize("batch", [1, 2])
def test_does_not_depend_on_the_batch(
    networks: Networks, blocks: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    ids = sorted(blocks.ids("val"), key=lambda id: blocks.image(id).shape)  # neighbours of one size
    expected = evaluate(networks, blocks, ids=ids).confusion
    monkeypatch.setattr(module, "labeled_images", partial(labeled_images, batch=batch))
    found = evaluate(networks, blocks, ids=ids).confusion
    assert all(apart(found[role], expected[role]) <= 2 for role in expected)


def test_does_not_depend_on_how_sizes_are_mixed(networks: Networks, blocks: Any) -> None:
    ids = blocks.ids("val")
    assert len({blocks.image(id).shape for id in ids}) == 3
    mixed, sorted_by_size = (
        evaluate(networks, blocks, ids=order).confusion
        for order in (ids, sorted(ids, key=lambda id: blocks.image(id).shape))
    )
    single = [evaluate(networks, blocks, ids=[id]).confusion for id in ids]
    for role in mixed:
        assert apart(mixed[role], sorted_by_size[role]) <= 2
        assert apart(mixed[role], sum(each[role] for each in single)) <= 2


def test_the_batches_hold_every_image_once_in_order_and_of_one_size(blocks: Any) -> None:
    ids = (*blocks.ids("val"), *sorted(blocks.ids("val"), key=lambda id: blocks.image(id).shape))
    batches = list(labeled_images(blocks, ids, batch=2))
    assert [id for batch in batches for id in batch.ids] == list(ids)
    assert max(len(batch.ids) for batch in batches) == 2
    for batch in batches:
        for place, id in enumerate(batch.ids):
            assert np.array_equal((batch.images[place] * 255).round().byte().permute(1, 2, 0), blocks.image(id))
            assert np.array_equal(batch.labels[place], blocks.label(id))


def test_the_ensemble_is_the_mean_of_the_teachers_logits(networks: Networks, blocks: Any) -> None:
    image = blocks.image(blocks.ids("val")[2])
    with torch.no_grad():
        logits = whole_logits(networks, next(labeled_images(blocks, [blocks.ids("val")[2]])).images)
        slow = [slow_logits(teacher, image).double() for teacher in networks.teachers.values()]
    assert torch.allclose(logits["ensemble"][0].double(), (slow[0] + slow[1]) / 2, atol=1e-5)
    assert tuple(logits["ensemble"].shape[-2:]) == image.shape[:2]


def windowed_logits(network: Any, image: np.ndarray, window: int, step: int) -> Tensor:
    """The mean over windows at every step, the last of them moved back to the border, pixel by pixel counted."""
    height, width = image.shape[:2]
    total, seen = torch.zeros(0), np.zeros((height, width))
    for top in sorted({min(top, max(0, height - window)) for top in range(0, height, step)}):
        for left in sorted({min(left, max(0, width - window)) for left in range(0, width, step)}):
            logits = slow_logits(network, image[top : top + window, left : left + window])
            total = total if len(total) else torch.zeros(len(logits), height, width)
            for row, column in np.ndindex(*logits.shape[1:]):
                total[:, top + row, left + column] += logits[:, row, column]
                seen[top + row, left + column] += 1
    return total / torch.from_numpy(seen).float()


def test_a_sliding_window_scores_every_role(networks: Networks, blocks: Any) -> None:
    id = blocks.ids("val")[0]
    image, truth = blocks.image(id), blocks.label(id)
    window = min(image.shape[:2]) // 2 + 3
    found = evaluate(networks, blocks, ids=[id], window=window, window_stride=0.5).confusion
    single = {
        "student": networks.student,
        "teacher1": networks.teachers["teacher1"],
        "teacher2": networks.teachers["teacher2"],
    }
    with torch.no_grad():
        logits = {role: windowed_logits(net, image, window, round(window / 2)) for role, net in single.items()}
    logits["ensemble"] = (logits["teacher1"] + logits["teacher2"]) / 2
    assert list(found) == list(logits)
    for role, values in logits.items():
        expected = confusion_matrix(
            truth[truth != 255], values.argmax(0).numpy()[truth != 255], labels=range(len(networks.classes))
        )
        assert apart(found[role], expected) <= 2
    whole = evaluate(networks, blocks, ids=[id]).confusion
    assert any(apart(found[role], whole[role]) > 2 for role in whole)


def test_around_an_image_smaller_than_the_window_lies_the_mean_colour(networks: Networks, blocks: Any) -> None:
    id = blocks.ids("val")[0]
    image = blocks.image(id)
    side = max(image.shape[:2]) + 9
    # What its normalisation maps to 0.
    padded = networks.student.backbone.mean.expand(1, 3, side, side).clone()
    top, left = ((side - length) // 2 for length in image.shape[:2])
    place = (..., slice(top, top + image.shape[0]), slice(left, left + image.shape[1]))
    padded[place] = torch.from_numpy(image).permute(2, 0, 1) / 255
    with torch.no_grad():
        logits = whole_logits(networks, padded)
    found = evaluate(networks, blocks, ids=[id], window=side).confusion
    truth = torch.from_numpy(blocks.label(id)).long()
    for role, values in logits.items():
        expected = confusion(truth, values[place][0].argmax(0), len(networks.classes)).numpy()
        assert apart(found[role], expected) <= 2


def test_large_images_come_fewer_at_a_time() -> None:
    class Wide:
        def image(self, id: str) -> np.ndarray:
            return np.zeros((512, 1024 if id.startswith("wide") else 2048 * 4, 3), np.uint8)

        def label(self, id: str) -> np.ndarray:
            return np.zeros(self.image(id).shape[:2], np.uint8)

    ids = [*(f"wide{i}" for i in range(6)), "huge1", "huge2"]
    found = [batch.ids for batch in labeled_images(Wide(), ids)]  # type: ignore[arg-type]
    assert [len(batch) for batch in found] == [4, 2, 1, 1]
    assert [id for batch in found for id in batch] == ids


def test_a_run_without_teachers_has_one_role(supervised_run: Any, blocks: Any) -> None:
    from psmt_viz import load_run

    result = evaluate(load_run(supervised_run), blocks, ids=blocks.ids("val")[:2], subject={"run": "x"})
    assert list(result.confusion) == ["student"]
    assert (result.asked, result.used, result.subject) == ({"part": "val"}, {"images": 2}, {"run": "x"})


class Patches(nn.Module):
    """Takes images whose sides are multiples of its patches'."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        torch.manual_seed(patch)
        self.multiple = patch
        self.body, self.head = nn.Conv2d(3, 8, patch, stride=patch), nn.Conv2d(8, 6, 1)

    def encode(self, images: Tensor) -> Tensor:
        assert not any(length % self.multiple for length in images.shape[-2:])
        return self.body(images).relu()

    def decode(self, z: Tensor, size: Any) -> Tensor:
        return F.interpolate(self.head(z), size=tuple(size), mode="bilinear", align_corners=False)


@torch.no_grad()
def test_each_network_sees_and_decodes_at_its_own_multiple(blocks: Any) -> None:
    """At 45 x 61, which no multiple here divides."""
    nets = {"student": Patches(14), "teacher1": Patches(6), "teacher2": Patches(14)}
    networks = Networks(nets["student"], [nets["teacher1"], nets["teacher2"]], classes=blocks.classes)
    images = torch.rand(2, 3, 45, 61)
    found = whole_logits(networks, images)
    sizes = {"student": (56, 70), "teacher1": (48, 66), "teacher2": (56, 70)}
    expected = {}
    for role, net in nets.items():
        stretched = F.interpolate(images, size=sizes[role], mode="bilinear", align_corners=True)
        logits = net.decode(net.encode(stretched), sizes[role])
        expected[role] = F.interpolate(logits, size=(45, 61), mode="bilinear", align_corners=True)
    expected["ensemble"] = (expected["teacher1"] + expected["teacher2"]) / 2
    assert list(found) == list(expected)
    for role, values in expected.items():
        torch.testing.assert_close(found[role], values)
    # Decoded straight at the image's next multiple of 8 they would be others.
    z = nets["student"].encode(F.interpolate(images, size=(56, 70), mode="bilinear", align_corners=True))
    wrong = F.interpolate(nets["student"].decode(z, (48, 64)), size=(45, 61), mode="bilinear", align_corners=True)
    assert (wrong - expected["student"]).abs().max() > 1e-3


def test_what_is_scored_is_what_is_perturbed(blocks: Any) -> None:
    networks = Networks(Patches(14), classes=blocks.classes)
    images = torch.rand(1, 3, 45, 61)
    with torch.no_grad():
        z = encode_whole(networks, images)
        assert torch.equal(whole_logits(networks, images)["student"], predictor(networks, "student", (45, 61))(z))


def test_around_small_images_of_a_network_without_a_mean_lies_0(blocks: Any) -> None:
    networks, images = Networks(Patches(7), classes=blocks.classes), torch.rand(1, 3, 14, 28)
    padded = F.pad(images, (0, 0, 7, 7))
    with torch.no_grad():
        expected = whole_logits(networks, padded)["student"][..., 7:21, :]
        torch.testing.assert_close(whole_logits(networks, images, window=28)["student"], expected)
