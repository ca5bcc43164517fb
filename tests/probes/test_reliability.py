"""Calibration against a reference that goes pixel by pixel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.networks import Networks
from psmt_viz.probes.evaluate import evaluate, whole_logits
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.reliability import _binned, _error, _error_interval, reliability
from psmt_viz.probes.shares import share
from psmt_viz.results import Reliability

BINS = 10


@pytest.fixture(scope="module")
def result(networks: Networks, blocks: Any) -> Reliability:
    return reliability(networks, blocks, bins=BINS, subject={"run": "x"})


def slowly(confidences: list[float], correct: list[bool], bins: int) -> float:
    """Guo et al. (2017), eq. 1 to 3, one pixel after the other."""
    inside: list[list[int]] = [[] for _ in range(bins)]
    for index, confidence in enumerate(confidences):
        place = next(m for m in range(bins) if m / bins < confidence <= (m + 1) / bins)
        inside[place].append(index)
    error = 0.0
    for members in inside:
        if members:
            accuracy = sum(correct[i] for i in members) / len(members)
            confidence = math.fsum(confidences[i] for i in members) / len(members)
            error += len(members) / len(confidences) * abs(accuracy - confidence)
    return error


def pixels_of(networks: Networks, blocks: Any, role: str) -> tuple[list[float], list[bool]]:
    """The confidence of every labelled pixel, and whether it is predicted correctly."""
    confidences, correct = [], []
    for image in labeled_images(blocks, blocks.ids("val"), batch=1):
        with torch.no_grad():
            logits = whole_logits(networks, image.images)[role][0]
        probability = torch.exp(logits - torch.logsumexp(logits, dim=0))
        best, prediction = probability.max(dim=0)
        for row, col in (image.labels[0] != IGNORE).nonzero().tolist():
            confidences.append(float(best[row, col]))
            correct.append(int(prediction[row, col]) == int(image.labels[0, row, col]))
    return confidences, correct


@pytest.mark.parametrize("role", ["student", "ensemble"])
def test_the_error_is_that_of_the_definition(networks: Networks, blocks: Any, result: Reliability, role: str) -> None:
    confidences, correct = pixels_of(networks, blocks, role)
    (row,) = result.roles[result.roles["role"] == role].to_dict("records")
    assert row["pixels"] == len(confidences)
    # One pixel at an edge may fall on either side by rounding.
    assert row["ece"] == pytest.approx(slowly(confidences, correct, BINS), abs=2 / len(confidences))
    assert row["confidence"] == pytest.approx(np.mean(confidences), rel=1e-6)
    assert row["accuracy"] == np.mean(correct)


def test_bins_hold_all_pixels_and_agree_with_the_scores(networks: Networks, blocks: Any, result: Reliability) -> None:
    scores = evaluate(networks, blocks)
    assert list(result.roles["role"]) == list(networks.roles)
    for role, rows in result.bins.groupby("role"):
        matrix = scores.confusion[str(role)]
        assert rows["pixels"].sum() == matrix.sum()
        assert rows["correct_pixels"].sum() == np.trace(matrix)
        np.testing.assert_allclose(rows["low"], np.arange(BINS) / BINS)
        np.testing.assert_allclose(rows["high"], np.arange(1, BINS + 1) / BINS)
        full = rows[rows["pixels"] > 0]
        assert ((full["low"] < full["confidence"]) & (full["confidence"] <= full["high"])).all()
        np.testing.assert_array_equal(full["accuracy"], full["correct_pixels"] / full["pixels"])
        assert rows.loc[rows["pixels"] == 0, ["confidence", "accuracy", "accuracy_low"]].isna().all(axis=None)
    (role,) = {str(role) for role in result.roles["role"]} - {"student", "teacher1", "teacher2"}
    assert role == "ensemble"


def test_intervals_of_a_bin_are_over_images(networks: Networks, blocks: Any, result: Reliability) -> None:
    alone = [reliability(networks, blocks, bins=BINS, ids=(id,)).bins for id in blocks.ids("val")]
    counts = [[table[table["role"] == "student"][name] for table in alone] for name in ("correct_pixels", "pixels")]
    expected = share(*map(np.array, counts))
    rows = result.bins[result.bins["role"] == "student"]
    np.testing.assert_allclose(rows["accuracy_low"], expected.low)
    np.testing.assert_allclose(rows["accuracy_high"], expected.high)


def test_facts(result: Reliability) -> None:
    assert (result.subject, result.asked) == ({"run": "x"}, {"part": "val", "bins": BINS, "seed": 0})
    assert result.used == {"images": 6}


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    """Of two equal logits each has a probability of exactly one half."""
    logits, labels = torch.zeros(2, 1, 3), torch.tensor([[0, 1, IGNORE]])
    pixels, correct, confidence = _binned(logits, labels, 4)
    assert pixels.tolist() == [0, 2, 0, 0]
    assert correct.tolist() == [0, 1, 0, 0]  # of equal logits the first class is predicted
    assert confidence.tolist() == [0, 1, 0, 0]
    certain = torch.tensor([[[200.0]], [[0.0]]])
    assert _binned(certain, torch.tensor([[0]]), 4)[0].tolist() == [0, 0, 0, 1]


def test_a_calibrated_network_has_next_to_no_error_and_a_boastful_one_its_excess() -> None:
    rng = np.random.default_rng(0)
    honest, boastful = [], []
    for confidence in (0.55, 0.75, 0.95):
        correct = rng.random(100_000) < confidence
        for counts, told in ((honest, confidence), (boastful, confidence + 0.04)):
            counts.append([correct.size, correct.sum(), told * correct.size])
    errors = [float(_error(np.array(counts, float).T)) for counts in (honest, boastful)]
    assert errors[0] < 0.003
    assert errors[1] == pytest.approx(0.04, abs=0.003)


def images(rng: np.random.Generator, count: int, excess: float) -> np.ndarray:
    """(N, 3, bins) counts of images whose accuracy varies around confidence - excess."""
    confidence = np.array([0.5, 0.7, 0.9])
    pixels = rng.integers(50, 400, (count, 3)).astype(float)
    rate = np.clip(confidence - excess + rng.normal(0, 0.08, (count, 1)), 0, 1)
    correct = rng.binomial(pixels.astype(int), rate)
    return np.stack([pixels, correct, pixels * confidence], axis=1)


def test_the_interval_of_the_error_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = 0.06
    found = [_error_interval(images(rng, 60, truth), seed=seed) for seed in range(200)]
    assert 0.9 <= np.mean([low <= truth <= high for low, high in found]) <= 0.99
    assert np.median([high - low for low, high in found]) < 0.06


def test_one_image_has_no_interval(networks: Networks, blocks: Any) -> None:
    found = reliability(networks, blocks, ids=blocks.ids("val")[:1])
    assert found.roles[["ece_low", "ece_high"]].isna().all(axis=None)
    assert len(found.bins) == 15 * 4


def test_the_seed_decides_the_interval_alone(networks: Networks, blocks: Any, result: Reliability) -> None:
    other = reliability(networks, blocks, bins=BINS, seed=1)
    assert other.roles["ece"].tolist() == result.roles["ece"].tolist()
    assert other.roles["ece_low"].tolist() != result.roles["ece_low"].tolist()


def test_a_run_without_teachers_has_one_role(supervised_run: Path, blocks: Any) -> None:
    found = reliability(load_run(supervised_run), blocks, ids=blocks.ids("val")[:2])
    assert found.roles["role"].tolist() == ["student"]


def test_bad_requests(networks: Networks, blocks: Any) -> None:
    with pytest.raises(UserError, match="--bins of 2 or more, got 1; raise it"):
        reliability(networks, blocks, bins=1)

    class Void:
        """The same images, all void."""

        classes, ids, image = blocks.classes, blocks.ids, blocks.image

        def label(self, id: str) -> np.ndarray:
            return np.full_like(blocks.label(id), IGNORE)

    with pytest.raises(UserError, match="labelled pixels to count, got none"):
        reliability(networks, Void(), ids=blocks.ids("val")[:1])  # type: ignore[arg-type]
