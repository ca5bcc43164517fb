"""The sample of pixels: exact counts, all correct, fair within a class, with features from a slow bilinear loop."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist
from torch.nn import functional as F

from psmt_viz.models.networks import Networks
from psmt_viz.probes.kinds import perturbation
from psmt_viz.probes.pixels import PixelSample, features_at
from tests.probes.asking import sampled
from tests.probes.predicted import counted, students

QUOTA = 30


PANELS = ("clean", "vat", "tvat")


@pytest.fixture(scope="module")
def sample(networks: Networks, blocks: Any) -> PixelSample:
    return sampled(networks, blocks, pixels=5 * QUOTA, eps=8.0, seed=1)


def test_as_many_pixels_as_asked_equally_many_of_each_class(sample: PixelSample) -> None:
    assert len(sample.label) == 5 * QUOTA
    labels, counts = np.unique(sample.label, return_counts=True)
    assert len(labels) == 5
    assert set(counts) == {QUOTA}
    places = list(zip(sample.image, sample.row, sample.col, strict=True))
    assert len(set(places)) == len(places)


def test_every_pixel_is_correct_before(networks: Networks, blocks: Any, sample: PixelSample) -> None:
    predicted = students(networks, blocks)
    assert sample.image_ids == blocks.ids("val")
    for image, row, col, label in zip(sample.image, sample.row, sample.col, sample.label, strict=True):
        id = sample.image_ids[image]
        assert blocks.label(id)[row, col] == predicted[id][row, col] == label
    assert np.array_equal(sample.prediction["clean"], sample.label)


def test_the_five_classes_with_most_correct_pixels_are_taken(
    networks: Networks, blocks: Any, sample: PixelSample
) -> None:
    counts = counted(networks, blocks)
    assert sample.correct_pixels == counts
    least = min(counts, key=lambda name: counts[name])
    assert {networks.classes[label] for label in sample.label} == set(networks.classes) - {least}


def test_predictions_and_features_are_those_of_the_perturbed_z(
    networks: Networks, blocks: Any, sample: PixelSample
) -> None:
    """By the slow way for one image: its own z, both perturbations, a decode, a loop of bilinear weights."""
    place = int(np.bincount(sample.image).argmax())
    id = sample.image_ids[place]
    pixels = torch.from_numpy(blocks.image(id)[None].copy()).permute(0, 3, 1, 2).float() / 255
    size = tuple(pixels.shape[-2:])
    padded = tuple(8 * math.ceil(length / 8) for length in size)
    with torch.no_grad():
        z = networks.student.encode(F.interpolate(pixels, size=padded, mode="bilinear", align_corners=True))
    inputs = {"clean": z}
    for kind in ("vat", "tvat"):
        inputs[kind] = z + perturbation(networks, kind, z, size, image_id=id, eps=8.0, seed=1).delta
    own = np.flatnonzero(sample.image == place)
    for panel in PANELS:
        with torch.no_grad():
            logits = networks.student.decode(inputs[panel], padded)
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)[0]
        for n in own:
            row, col = sample.row[n], sample.col[n]
            assert sample.prediction[panel][n] == int(logits[:, row, col].argmax())
            expected = bilinear(inputs[panel][0].double().numpy(), row, col, size)
            assert np.allclose(sample.features[panel][n], expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(sample.features["clean"], sample.features["vat"], rtol=1e-3)
    assert sample.relative_norm == pytest.approx(8 / float(z.norm()), rel=0.5)


def bilinear(values: np.ndarray, row: float, col: float, size: tuple[int, int]) -> np.ndarray:
    """A map (C, h, w) at a pixel of an image of `size`, first pixels on first cells and last on last."""
    height, width = values.shape[1:]
    y = row * (height - 1) / max(1, size[0] - 1)
    x = col * (width - 1) / max(1, size[1] - 1)
    total = np.zeros(len(values))
    for i in range(height):
        for j in range(width):
            total += max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j)) * values[:, i, j]
    return total


@pytest.mark.parametrize(("shape", "size"), [((5, 7), (33, 41)), ((6, 4), (6, 4)), ((9, 8), (4, 5)), ((3, 4), (1, 9))])
def test_features_equal_a_bilinear_loop(shape: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, *shape))
    rows, cols = (grid.ravel() for grid in np.mgrid[: size[0], : size[1]])
    found = features_at(torch.from_numpy(values)[None], rows, cols, size)
    expected = np.stack([bilinear(values, row, col, size) for row, col in zip(rows, cols, strict=True)])
    assert found.shape == (len(rows), 3)
    assert np.allclose(found, expected, rtol=1e-9, atol=1e-12)
    # Corners lie on corners; with unaligned ones they would be shrunk inwards.
    assert np.allclose(found[0], values[:, 0, 0])
    if min(size) > 1:
        assert np.allclose(found[-1], values[:, -1, -1])


def test_features_of_a_layer(networks: Networks, blocks: Any) -> None:
    found = {layer: sampled(networks, blocks, pixels=10, layer=layer, seed=2) for layer in ("z", "decoder", "logits")}
    widths = {layer: each.features["clean"].shape[1] for layer, each in found.items()}
    assert widths == {"z": 16 + 8, "decoder": 24, "logits": len(networks.classes)}
    for each in found.values():
        assert np.array_equal(each.row, found["z"].row)  # the layer changes no choice of pixels
        assert all(values.dtype == np.float32 for values in each.features.values())
    # The low-resolution logits at a pixel are nearly those that predict it.
    agree = found["logits"].features["clean"].argmax(axis=1) == found["logits"].label
    assert agree.mean() >= 0.8


def test_equal_seeds_give_equal_samples_and_others_do_not(networks: Networks, blocks: Any, sample: PixelSample) -> None:
    again = sampled(networks, blocks, pixels=5 * QUOTA, eps=8.0, seed=1)
    for name in ("image", "row", "col", "label"):
        assert np.array_equal(getattr(again, name), getattr(sample, name))
    for panel in PANELS:
        assert np.array_equal(again.features[panel], sample.features[panel])
    other = sampled(networks, blocks, pixels=5 * QUOTA, eps=8.0, seed=2)
    assert not np.array_equal(other.row, sample.row)


class Reordered:
    """The same images in another order."""

    def __init__(self, data: Any) -> None:
        self.name, self.classes, self.image, self.label = data.name, data.classes, data.image, data.label
        self._ids = tuple(reversed(data.ids("val")))

    def ids(self, part: str) -> tuple[str, ...]:
        assert part == "val"
        return self._ids


def test_the_order_of_images_decides_nothing(networks: Networks, blocks: Any, sample: PixelSample) -> None:
    other = sampled(networks, Reordered(blocks), pixels=5 * QUOTA, eps=8.0, seed=1)

    def places(found: PixelSample) -> set[tuple[str, int, int, int, int]]:
        ids = [found.image_ids[image] for image in found.image]
        return set(zip(ids, found.row, found.col, found.label, found.prediction["tvat"], strict=True))

    assert places(other) == places(sample)


def test_every_correct_pixel_of_a_class_has_the_same_chance(
    networks: Networks, blocks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chi-square over repeated seeds: which pixels of a class are drawn, image by image and tenth by tenth."""
    import psmt_viz.probes.pixels as module

    # The perturbations do not touch the choice; without their searches 200 seeds take a second.
    def quick(networks: Networks, kind: str, z: torch.Tensor, *_: Any, **__: Any) -> Any:
        from psmt_viz.perturb import random_perturbation

        return random_perturbation(z, generator=torch.Generator().manual_seed(0))

    class Two:
        """Two images of unequal size, the classes of which hold unequal numbers of pixels."""

        classes = blocks.classes
        image, label = blocks.image, blocks.label

        @staticmethod
        def ids(part: str) -> tuple[str, ...]:
            return blocks.ids(part)[:2]

    monkeypatch.setattr(module, "perturbation", quick)
    predicted, data = students(networks, blocks), Two()
    name = "background"
    index = networks.classes.index(name)
    correct = [
        (place, row, col)
        for place, id in enumerate(data.ids("val"))
        for row, col in np.argwhere((blocks.label(id) == index) & (predicted[id] == index))
    ]
    drawn = dict.fromkeys(correct, 0)
    seeds, pixels = 120, 200
    for seed in range(seeds):
        found = sampled(networks, data, pixels=pixels, classes=(name,), seed=seed)
        for place in zip(found.image, found.row, found.col, strict=True):
            drawn[place] += 1
    counts = np.array(list(drawn.values()))
    share = pixels / len(correct)
    # Without replacement, each pixel's count is binomial, and the sum of squares nearly (1 - share) times chi-square.
    expected = seeds * share
    chi_square = ((counts - expected) ** 2 / (expected * (1 - share))).sum() * (1 - 1 / len(correct))
    assert stats.chi2.sf(chi_square, len(correct) - 1) > 1e-4
    assert stats.chi2.cdf(chi_square, len(correct) - 1) > 1e-4
    assert abs(counts[[place == 0 for place, *_ in correct]].mean() / expected - 1) < 0.05
    # A sample that takes equally many of each image is caught by the same number.
    per_image = np.bincount([place for place, *_ in correct])
    unfair = np.concatenate([np.full(count, seeds * pixels / 2 / count) for count in per_image])
    bias = ((unfair - expected) ** 2 / (expected * (1 - share))).sum()
    assert bias > 0.5 * len(correct) ** 0.5


class Even:
    """The images twice, each neighbouring its copy, so that batches of one size fill."""

    def __init__(self, data: Any) -> None:
        self.name, self.classes = data.name, data.classes
        self._data = data

    def ids(self, part: str) -> tuple[str, ...]:
        return tuple(f"{id}-{copy}" for id in self._data.ids(part) for copy in "abcd")

    def image(self, id: str) -> np.ndarray:
        return np.roll(self._data.image(id[:-2]), 3 * "abcd".index(id[-1]), axis=1)

    def label(self, id: str) -> np.ndarray:
        return np.roll(self._data.label(id[:-2]), 3 * "abcd".index(id[-1]), axis=1)


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_the_batch_changes_nothing_but_rounding(networks: Networks, blocks: Any, batch: int) -> None:
    data = Even(blocks)
    alone, together = (sampled(networks, data, pixels=500, eps=8.0, seed=4, batch=size) for size in (1, batch))
    for name in ("image", "row", "col", "label"):
        assert np.array_equal(getattr(together, name), getattr(alone, name))
    assert together.correct_pixels == alone.correct_pixels
    assert together.relative_norm == pytest.approx(alone.relative_norm, rel=1e-5)
    for panel in PANELS:
        assert np.array_equal(together.prediction[panel], alone.prediction[panel])
    clean = alone.features["clean"]
    assert np.allclose(together.features["clean"], clean, rtol=1e-5, atol=1e-5)
    for panel in PANELS[1:]:
        assert (alone.prediction[panel] != alone.label).any()
        # Of the noise; a neighbour's would be another altogether, and leave more than 1.
        away = np.linalg.norm(together.features[panel] - alone.features[panel])
        assert away < 0.01 * np.linalg.norm(alone.features[panel] - clean)


def test_a_margin_leaves_boundaries_out(networks: Networks, blocks: Any) -> None:
    def nearest_other(id: str, row: int, col: int) -> float:
        label = blocks.label(id)
        others = np.argwhere((label != label[row, col]) & (label != 255))
        return float(np.hypot(*(others - (row, col)).T).min())

    least = {}
    for margin in (0.0, 4.0):
        found = sampled(networks, blocks, pixels=100, margin=margin, seed=3)
        places = zip(found.image, found.row, found.col, strict=True)
        least[margin] = min(nearest_other(found.image_ids[image], row, col) for image, row, col in places)
        assert all(found.correct_pixels.values())
    assert least[0.0] < 4.0 <= least[4.0]
    assert found.correct_pixels["background"] < counted(networks, blocks)["background"]


def test_a_pixel_at_the_margin_counts(networks: Networks, blocks: Any) -> None:
    """Distances are often whole numbers, and so are margins."""
    expected = dict.fromkeys(networks.classes, 0)
    at_the_margin = 0
    for id, guess in students(networks, blocks).items():
        label = blocks.label(id)
        places = np.argwhere(label != 255)
        classes = label[tuple(places.T)]
        for index, name in enumerate(networks.classes):
            own = places[(classes == index) & (guess[tuple(places.T)] == index)]
            distance = cdist(own, places[classes != index]).min(axis=1)
            expected[name] += int((distance >= 4).sum())
            at_the_margin += int((distance == 4).sum())
    assert at_the_margin > 0
    assert sampled(networks, blocks, pixels=100, margin=4.0).correct_pixels == expected
