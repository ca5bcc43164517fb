"""Every number of the perturbation probe, for every judge, against a direct computation of it."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from psmt_viz.kinds import KINDS
from psmt_viz.models.networks import Networks
from psmt_viz.probes.bootstrap import Bootstrap
from psmt_viz.probes.perturb import perturb
from psmt_viz.probes.shares import paired_difference, share
from psmt_viz.results import Flips
from tests.probes.flips_reference import CONFIDENCES, DISTANCES, EPS, JUDGES, SEED, Reference, counts, foreign, pick

REFERENCED = ("vat", "tvat", "teacher2", "pgd", "random", "dropout", "feature-noise")
CELLS = [(kind, eps) for kind in REFERENCED for eps in (*EPS, None) if eps or KINDS[kind].own_size]


@pytest.fixture(scope="module")
def reference(networks: Networks, blocks: Any) -> Reference:
    networks.eval()
    return Reference(networks, blocks)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("kind", "eps"), CELLS)
def test_each_row_equals_a_direct_computation(
    reference: Reference, result: Flips, kind: str, eps: float | None, judge: str
) -> None:
    rows = reference.measured(kind, eps, judge)
    (found,) = pick(result.flips, kind, judge, eps).to_dict("records")
    correct, flipped = counts(rows, "right"), counts(rows, "flipped")
    assert flipped.sum() > 0
    assert (found["correct_pixels"], found["flipped_pixels"]) == (correct.sum(), flipped.sum())
    assert found["flip_rate"] == pytest.approx(flipped.sum() / correct.sum(), rel=1e-12)
    assert found["images"] == 6
    value, low, high = share(flipped, correct)
    assert found["flip_rate_low"] == pytest.approx(float(low), rel=1e-9)
    assert found["flip_rate_high"] == pytest.approx(float(high), rel=1e-9)
    # In float64, from softmax; the probe has float32.
    kl = np.array([row["kl"] for row in rows])
    assert found["kl"] == pytest.approx(kl.mean(), rel=1e-3, abs=1e-4)
    value, low, high = Bootstrap(6, seed=SEED).mean(kl)
    assert found["kl_low"] == pytest.approx(max(0, low), rel=1e-2, abs=1e-2 * float(value))
    assert found["kl_high"] == pytest.approx(high, rel=1e-2)
    assert found["kl_per_pixel"] == pytest.approx(kl.sum() / sum(row["label"].size for row in rows), rel=1e-3)
    assert found["relative_norm"] == pytest.approx(np.mean([row["relative_norm"] for row in rows]), rel=1e-5)
    assert found["eps"] == pytest.approx(np.mean([row["norm"] for row in rows]), rel=1e-5)
    truth, was, now = (np.concatenate([row[key].ravel() for row in rows]) for key in ("label", "was", "now"))
    seen = truth != 255
    assert found["miou"] == pytest.approx(jaccard_score(truth[seen], now[seen], average="macro"), rel=1e-12)
    assert found["miou_clean"] == pytest.approx(jaccard_score(truth[seen], was[seen], average="macro"), rel=1e-12)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("kind", "eps"), CELLS)
def test_each_stratum_equals_a_direct_count(
    reference: Reference, result: Flips, kind: str, eps: float | None, judge: str
) -> None:
    rows, classes = reference.measured(kind, eps, judge), reference.networks.classes
    strata = {
        "by_class": [lambda row, i=i: row["label"] == i for i in range(len(classes))],
        "by_distance": [
            lambda row, low=low, high=high: (low <= row["distance"]) & (row["distance"] < high)
            for low, high in pairwise(DISTANCES)
        ],
        "by_confidence": [
            lambda row, low=low, high=high: (low <= row["confidence"]) & ((row["confidence"] < high) | (high == 1))
            for low, high in pairwise(CONFIDENCES)
        ],
    }
    # A confidence within rounding of an edge may lie on either side of it.
    edges = np.array(CONFIDENCES[1:-1])
    doubtful = sum((abs(row["confidence"][..., None] - edges) < 1e-6).sum() for row in rows)
    for name, masks in strata.items():
        found = pick(getattr(result, name), kind, judge, eps)
        assert len(found) == len(masks)
        for row, mask in zip(found.to_dict("records"), masks, strict=True):
            correct, flipped = (np.array([(r[key] & mask(r)).sum() for r in rows]) for key in ("right", "flipped"))
            if name == "by_confidence" and doubtful:
                assert abs(row["correct_pixels"] - correct.sum()) <= doubtful
                continue
            assert (row["correct_pixels"], row["flipped_pixels"]) == (correct.sum(), flipped.sum())
            if not correct.sum():
                assert all(math.isnan(row[f"flip_rate{end}"]) for end in ("", "_low", "_high"))
                continue
            ends = share(flipped, correct)
            assert row["flip_rate"] == pytest.approx(flipped.sum() / correct.sum(), rel=1e-12)
            expected = pytest.approx([float(ends.low), float(ends.high)], rel=1e-9, abs=1e-15, nan_ok=True)
            assert [row["flip_rate_low"], row["flip_rate_high"]] == expected
    pairs: dict[tuple[str, str], int] = {}
    for row in rows:
        for truth, after in zip(row["label"][row["flipped"]], row["now"][row["flipped"]], strict=True):
            pair = classes[truth], classes[after]
            pairs[pair] = pairs.get(pair, 0) + 1
    found = pick(result.confusion, kind, judge, eps)
    assert dict(zip(zip(found["truth"], found["prediction"], strict=True), found["pixels"], strict=True)) == pairs


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("eps", EPS)
def test_differences_are_of_the_same_images_and_pixels(
    reference: Reference, result: Flips, eps: float, judge: str
) -> None:
    for kind in REFERENCED:
        for against in ("vat", "random"):
            if kind == against:
                continue
            (found,) = pick(result.paired, kind, judge, eps).query("against == @against").to_dict("records")
            one, other = (reference.measured(each, eps, judge) for each in (kind, against))
            value, low, high = paired_difference(counts(one, "flipped"), counts(other, "flipped"), counts(one, "right"))
            expected = pytest.approx([float(value), float(low), float(high)], rel=1e-9, abs=1e-15)
            assert [found["difference"], found["difference_low"], found["difference_high"]] == expected
            assert found["images"] == 6


def test_a_foreign_network_of_two_layers(blocks: Any) -> None:
    networks = foreign(6, 6, 6)
    found = perturb(networks, blocks, eps=EPS, seed=SEED)
    reference = Reference(networks, blocks)
    assert set(found.flips["kind"]) == set(KINDS) and set(found.flips["judge"]) == set(JUDGES)
    for kind, judge in (("vat", "student"), ("tvat", "teacher1"), ("random", "ensemble")):
        rows = reference.measured(kind, 8.0, judge)
        (row,) = pick(found.flips, kind, judge, 8.0).to_dict("records")
        assert row["correct_pixels"] == counts(rows, "right").sum() > 0
        assert row["flipped_pixels"] == counts(rows, "flipped").sum()
        assert row["kl"] == pytest.approx(np.mean([each["kl"] for each in rows]), rel=1e-3)
