"""Flips, KL and scores after a perturbation, against a direct computation of each number."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor
from torch.nn import functional as F

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import adversarial_perturbation
from psmt_viz.probes.bootstrap import ratio_interval
from psmt_viz.probes.flips import flips
from psmt_viz.probes.kinds import KINDS
from psmt_viz.results import Flips
from psmt_viz.seeds import derived_seed

EPS = (0.5, 2.0, 8.0)
SEED = 3


@pytest.fixture(scope="module")
def result(bundle: PSMT, blocks: Any) -> Flips:
    return flips(bundle, blocks, eps=EPS, seed=SEED)


def stretched(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values, size=size, mode="bilinear", align_corners=True)


def measured(bundle: PSMT, data: Any, kind: str, eps: float) -> list[dict[str, Any]]:
    """Each image on its own: labels, predictions before and after, KL in float64, size of the perturbation."""
    rows = []
    for id in data.ids("val"):
        image, label = data.image(id), data.label(id)
        size = label.shape
        padded = tuple(8 * math.ceil(length / 8) for length in size)
        pixels = torch.from_numpy(image[None].copy()).permute(0, 3, 1, 2).float() / 255
        networks = [bundle.student] if kind == "vat" else list(bundle.teachers)

        def student(z: Tensor, size: Any = size, padded: Any = padded) -> Tensor:
            return stretched(bundle.student.decode(z, padded), size)

        def search(z: Tensor, size: Any = size, padded: Any = padded, networks: Any = networks) -> Tensor:
            return stretched(sum(network.decode(z, padded) for network in networks) / len(networks), size)

        with torch.no_grad():
            z = bundle.student.encode(stretched(pixels, padded))
        generator = torch.Generator().manual_seed(derived_seed(SEED, "noise", id))
        delta = adversarial_perturbation(search, z, eps=eps, generator=generator).delta
        with torch.no_grad():
            before, after = student(z).double(), student(z + delta).double()
        p, q = before.softmax(dim=1).numpy(), after.softmax(dim=1).numpy()
        rows.append(
            {
                "label": label,
                "before": before.argmax(dim=1)[0].numpy(),
                "after": after.argmax(dim=1)[0].numpy(),
                "kl": float((p * (np.log(p) - np.log(q))).sum()),
                "relative_norm": float(delta.double().norm() / z.double().norm()),
            }
        )
    return rows


@pytest.mark.parametrize(("kind", "eps"), [("vat", 8.0), ("tvat", 8.0), ("tvat", 2.0)])
def test_one_row_equals_a_direct_computation(bundle: PSMT, blocks: Any, result: Flips, kind: str, eps: float) -> None:
    images = measured(bundle, blocks, kind, eps)
    row = result.flips.set_index(["kind", "eps"]).loc[kind, eps]
    by_class = result.by_class.query("kind == @kind and eps == @eps").set_index("class")
    correct, flipped = np.zeros((2, len(images), len(bundle.classes)), int)
    for place, image in enumerate(images):
        triples = zip(image["label"].flat, image["before"].flat, image["after"].flat, strict=True)
        for label, before, after in triples:
            if label != 255 and before == label:
                correct[place, label] += 1
                flipped[place, label] += after != label
    assert flipped.sum() > 0
    assert row["correct_pixels"] == correct.sum()
    assert row["flipped_pixels"] == flipped.sum()
    assert row["flip_rate"] == pytest.approx(flipped.sum() / correct.sum(), rel=1e-12)
    low, high = ratio_interval(flipped.sum(axis=1).astype(float), correct.sum(axis=1).astype(float), seed=SEED)
    assert (row["flip_rate_low"], row["flip_rate_high"]) == pytest.approx((low, high), rel=1e-12)
    for index, name in enumerate(bundle.classes):
        assert by_class.loc[name, "correct_pixels"] == correct[:, index].sum()
        assert by_class.loc[name, "flipped_pixels"] == flipped[:, index].sum()
    assert row["kl"] == pytest.approx(np.mean([image["kl"] for image in images]), rel=1e-3)
    pixels = sum(image["label"].size for image in images)
    assert row["kl_per_pixel"] == pytest.approx(sum(image["kl"] for image in images) / pixels, rel=1e-3)
    assert row["relative_norm"] == pytest.approx(np.mean([image["relative_norm"] for image in images]), rel=1e-5)
    truth, after = (np.concatenate([image[key].ravel() for image in images]) for key in ("label", "after"))
    seen = truth != 255
    assert row["miou"] == pytest.approx(jaccard_score(truth[seen], after[seen], average="macro"), rel=1e-12)


def test_a_row_each_kind_and_eps_and_class(bundle: PSMT, result: Flips) -> None:
    assert list(zip(result.flips["kind"], result.flips["eps"], strict=True)) == [(k, e) for k in KINDS for e in EPS]
    expected = [(k, e, name) for k in KINDS for e in EPS for name in bundle.classes]
    assert list(zip(*(result.by_class[c] for c in ("kind", "eps", "class")), strict=True)) == expected
    columns = "kind judge norm eps relative_norm flip_rate flip_rate_low flip_rate_high kl kl_per_pixel miou images"
    assert list(result.flips) == [*columns.split(), "correct_pixels", "flipped_pixels"]
    assert set(result.flips["judge"]) == {"student"}
    assert set(result.flips["images"]) == {6}


def test_classes_sum_to_the_total(result: Flips) -> None:
    sums = result.by_class.groupby(["kind", "eps"], sort=False)[["correct_pixels", "flipped_pixels"]].sum()
    totals = result.flips.set_index(["kind", "eps"])[["correct_pixels", "flipped_pixels"]]
    pd.testing.assert_frame_equal(sums, totals)
    assert totals["correct_pixels"].nunique() == 1


def test_rates_lie_in_their_intervals(result: Flips) -> None:
    assert (result.flips["flip_rate_low"] <= result.flips["flip_rate"]).all()
    assert (result.flips["flip_rate"] <= result.flips["flip_rate_high"]).all()
    assert (result.flips["kl"] >= -1e-3).all()
    # KL is summed over the pixels of an image; the mean over pixels stands beside it.
    assert np.allclose(result.flips["kl"] / result.flips["kl_per_pixel"], (48 * 64 + 56 * 56 + 45 * 61) / 3, rtol=0.5)


def test_the_health_of_every_search_is_told(result: Flips) -> None:
    assert list(result.health) == list(KINDS)
    for kind in ("vat", "tvat"):
        health = result.health[kind]
        assert health["norm_over_eps"] == pytest.approx({"min": 1, "mean": 1, "max": 1}, rel=1e-5)
        assert 0.999 <= health["cosine"]["min"] <= health["cosine"]["mean"] <= health["cosine"]["max"] <= 1 + 1e-9
        assert health["unchanged"]["max"] < 0.1
    assert result.health["random"]["norm_over_eps"]["mean"] == pytest.approx(1, rel=1e-5)
    assert set(result.health["random"]) == {"norm_over_eps"}  # it searches nothing
    official = result.health["tvat-official"]
    assert official["cosine"]["max"] < 0.5
    assert official["norm_over_eps"]["max"] < 1 - 1e-3
    assert official["unchanged"]["min"] > 0.2


def test_equal_seeds_give_equal_tables_and_others_do_not(bundle: PSMT, blocks: Any, result: Flips) -> None:
    again = flips(bundle, blocks, eps=(8.0,), kinds=("random",), seed=SEED)
    other = flips(bundle, blocks, eps=(8.0,), kinds=("random",), seed=SEED + 1)
    row = result.flips.query("kind == 'random' and eps == 8").reset_index(drop=True)
    pd.testing.assert_frame_equal(again.flips, row)
    assert other.flips.loc[0, "kl"] != row.loc[0, "kl"]


def test_only_the_images_and_kinds_asked_for(bundle: PSMT, blocks: Any) -> None:
    found = flips(bundle, blocks, eps=(2.0,), kinds=("vat",), ids=blocks.ids("val")[:2], parameters={"run": "x"})
    assert found.flips["images"].tolist() == [2]
    assert list(found.health) == ["vat"]
    asked = {"eps": [2.0], "kinds": ["vat"], "images": 2, "seed": 0, "judge": "student", "run": "x"}
    assert found.parameters == asked


@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan])
def test_an_eps_without_a_size_is_refused(bundle: PSMT, blocks: Any, eps: float) -> None:
    with pytest.raises(UserError, match="eps above 0"):
        flips(bundle, blocks, eps=(2.0, eps), kinds=("vat",), ids=blocks.ids("val")[:1])


def test_an_unknown_kind_and_tvat_without_teachers_are_refused(bundle: PSMT, supervised_run: Path, blocks: Any) -> None:
    with pytest.raises(UserError, match=r"kinds among vat, tvat, tvat-official, random, got vta"):
        flips(bundle, blocks, kinds=("vta",))
    with pytest.raises(UserError, match=r"kinds among vat, random, got tvat"):
        flips(load_run(supervised_run), blocks, kinds=("tvat",))


def test_no_correct_pixel_is_an_error_that_says_so(bundle: PSMT, blocks: Any) -> None:
    class Void:
        """The same images, all void."""

        classes = blocks.classes
        ids, image = blocks.ids, blocks.image

        @staticmethod
        def label(id: str) -> np.ndarray:
            return np.full_like(blocks.label(id), 255)

    with pytest.raises(UserError, match="correctly predicted pixels, got none"):
        flips(bundle, Void(), eps=(2.0,), kinds=("random",), ids=blocks.ids("val")[:2])


def test_networks_keep_their_weights(psmt_run: Path, blocks: Any) -> None:
    own = load_run(psmt_run)
    before = {key: value.clone() for key, value in own.state_dict().items()}
    flips(own, blocks, eps=(2.0,), ids=blocks.ids("val")[:1])
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
    assert all(value.dtype == before[key].dtype for key, value in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())
