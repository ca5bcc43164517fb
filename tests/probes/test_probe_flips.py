"""Flips, KL and scores after a perturbation, for every judge, against a direct computation of each number."""

import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.models import Roles
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import FEATURE_KINDS, KINDS, Settings, adversarial_perturbation, projected_ascent
from psmt_viz.probes.bootstrap import Bootstrap
from psmt_viz.probes.flips import flips
from psmt_viz.probes.tally import Clean, Tally
from psmt_viz.results import Flips
from psmt_viz.seeds import derived_seed

EPS = (2.0, 8.0)
SEED = 3
JUDGES = ("student", "teacher1", "teacher2", "ensemble")
DISTANCES = (1, 2, 3, 5, 9, 17, 33, math.inf)
CONFIDENCES = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
TABLES = ("flips", "paired", "by_class", "by_distance", "by_confidence", "confusion")
REFERENCED = ("vat", "tvat", "teacher2", "pgd", "random", "dropout", "feature-noise")


@pytest.fixture(scope="module")
def result(bundle: PSMT, blocks: Any) -> Flips:
    return flips(bundle, blocks, eps=EPS, seed=SEED)


def stretched(values: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(values, size=size, mode="bilinear", align_corners=True)


def brute_distance(labels: np.ndarray) -> np.ndarray:
    """To the nearest pixel of another class, by a look at every pair."""
    rows, columns = (values.ravel() for values in np.indices(labels.shape))
    flat = labels.ravel()
    squares = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    other = (flat[:, None] != flat) & (flat != 255)
    nearest = np.where(other, squares, np.iinfo(squares.dtype).max).min(axis=1)
    return np.sqrt(nearest).reshape(labels.shape)


class Reference:
    """Perturbs and measures each image on its own, in the plainest way."""

    def __init__(self, bundle: Any, data: Any) -> None:
        self.bundle, self.data = bundle, data
        self.images = [self._encoded(id) for id in data.ids("val")]

    def _encoded(self, id: str) -> dict[str, Any]:
        label = self.data.label(id)
        padded = tuple(8 * math.ceil(length / 8) for length in label.shape)
        pixels = torch.from_numpy(self.data.image(id)[None].copy()).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            z = self.bundle.student.encode(stretched(pixels, padded))
        found = {"id": id, "label": label, "z": z, "size": label.shape, "padded": padded}
        found["before"] = {judge: self.logits(judge, z, found) for judge in JUDGES}
        return found | {"distance": brute_distance(label)}

    def predict(self, role: str, z: Tensor, image: dict[str, Any]) -> Tensor:
        networks = {
            "student": [self.bundle.student],
            "teacher1": [self.bundle.teachers[0]],
            "teacher2": [self.bundle.teachers[1]],
            "ensemble": list(self.bundle.teachers),
        }[role]
        mean = sum(network.decode(z, image["padded"]) for network in networks) / len(networks)
        return stretched(mean, image["size"])

    def logits(self, role: str, z: Tensor, image: dict[str, Any]) -> np.ndarray:
        with torch.no_grad():
            return self.predict(role, z, image)[0].double().numpy()

    @cache  # noqa: B019
    def delta(self, kind: str, eps: float | None, place: int) -> Tensor:
        """The perturbation of norm eps, or of a feature kind's own size."""
        image = self.images[place]
        z = image["z"]
        generator = torch.Generator().manual_seed(derived_seed(SEED, "noise", image["id"]))
        if kind == "random":
            change = torch.randn(z.shape, generator=generator)
        elif kind == "dropout":
            change = torch.where(torch.rand(z.shape[1], 1, 1, generator=generator) < 0.5, -z, z)
        elif kind == "feature-noise":
            change = z * (torch.rand(z.shape[1:], generator=generator) * 2 - 1) * 0.3
        else:
            role = {"tvat": "ensemble", "vat": "student", "pgd": "student"}.get(kind, kind)

            def predict(values: Tensor) -> Tensor:
                return self.predict(role, values, image)

            change = adversarial_perturbation(predict, z, eps=eps or 1.0, generator=generator).delta
            return change if kind != "pgd" else projected_ascent(predict, z, start=change, eps=eps or 1.0).delta
        return change if eps is None else eps * (change / torch.linalg.vector_norm(change))

    @cache  # noqa: B019
    def measured(self, kind: str, eps: float | None, judge: str) -> list[dict[str, Any]]:
        rows = []
        for place, image in enumerate(self.images):
            delta = self.delta(kind, eps, place)
            before, after = image["before"][judge], self.logits(judge, image["z"] + delta, image)
            p, q = (np.exp(v - v.max(axis=0)) / np.exp(v - v.max(axis=0)).sum(axis=0) for v in (before, after))
            was, now, label = before.argmax(axis=0), after.argmax(axis=0), image["label"]
            rows.append(
                {
                    "label": label,
                    "was": was,
                    "now": now,
                    "right": was == label,
                    "flipped": (was == label) & (now != label),
                    "distance": image["distance"],
                    "confidence": p.max(axis=0),
                    "kl": float((p * (np.log(p) - np.log(q))).sum()),
                    "norm": float(delta.double().norm()),
                    "relative_norm": float(delta.double().norm() / image["z"].double().norm()),
                }
            )
        return rows


@pytest.fixture(scope="module")
def reference(bundle: PSMT, blocks: Any) -> Reference:
    bundle.eval()
    return Reference(bundle, blocks)


def counts(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.array([row[key].sum() for row in rows])


def pick(table: pd.DataFrame, kind: str, judge: str, eps: float | None) -> pd.DataFrame:
    size = table["norm"] == "own" if eps is None else (table["norm"] == "image") & (table["eps"] == eps)
    found = table[(table["kind"] == kind) & (table["judge"] == judge) & size]
    assert len(found)
    return found.reset_index(drop=True)


CELLS = [(kind, eps) for kind in REFERENCED for eps in (*EPS, None) if eps or kind in FEATURE_KINDS]


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
    boot = Bootstrap(6, seed=SEED)
    value, low, high = boot.ratio(flipped, correct)
    assert found["flip_rate_low"] == pytest.approx(max(0, low), rel=1e-9)
    assert found["flip_rate_high"] == pytest.approx(min(1, high), rel=1e-9)
    # In float64, from softmax; the probe has float32.
    kl = np.array([row["kl"] for row in rows])
    assert found["kl"] == pytest.approx(kl.mean(), rel=1e-3, abs=1e-4)
    value, low, high = boot.ratio(kl, np.ones(6))
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
    rows, classes = reference.measured(kind, eps, judge), reference.bundle.classes
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
    boot = Bootstrap(6, seed=SEED)
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
            value, low, high = boot.ratio(flipped, correct)
            assert row["flip_rate"] == pytest.approx(float(value), rel=1e-12)
            assert row["flip_rate_low"] == pytest.approx(max(0, low), rel=1e-9, abs=1e-15)
            assert row["flip_rate_high"] == pytest.approx(min(1, high), rel=1e-9, abs=1e-15)
    expected: dict[tuple[str, str], int] = {}
    for row in rows:
        for truth, after in zip(row["label"][row["flipped"]], row["now"][row["flipped"]], strict=True):
            pair = classes[truth], classes[after]
            expected[pair] = expected.get(pair, 0) + 1
    found = pick(result.confusion, kind, judge, eps)
    assert dict(zip(zip(found["truth"], found["prediction"], strict=True), found["pixels"], strict=True)) == expected


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("eps", EPS)
def test_differences_are_of_the_same_images_and_pixels(
    reference: Reference, result: Flips, eps: float, judge: str
) -> None:
    boot = Bootstrap(6, seed=SEED)
    for kind in REFERENCED:
        for against in ("vat", "random"):
            if kind == against:
                continue
            (found,) = pick(result.paired, kind, judge, eps).query("against == @against").to_dict("records")
            one, other = (reference.measured(each, eps, judge) for each in (kind, against))
            difference = counts(one, "flipped") - counts(other, "flipped")
            value, low, high = boot.ratio(difference, counts(one, "right"))
            expected = pytest.approx([float(value), float(low), float(high)], rel=1e-9, abs=1e-15)
            assert [found["difference"], found["difference_low"], found["difference_high"]] == expected
            assert found["images"] == 6


def test_rows_in_the_order_asked_and_columns_as_promised(bundle: PSMT, result: Flips) -> None:
    sizes = {kind: (*EPS, *(("own",) if kind in FEATURE_KINDS else ())) for kind in KINDS}
    cells = [(kind, judge, size) for kind in KINDS for judge in JUDGES for size in sizes[kind]]

    def keys(table: pd.DataFrame) -> list[tuple[Any, ...]]:
        size = table["eps"].astype(object).where(table["norm"] != "own", "own")
        return list(zip(table["kind"], table["judge"], size, strict=True))

    assert keys(result.flips) == cells
    for name, bins in (("by_class", len(bundle.classes)), ("by_distance", 7), ("by_confidence", 8)):
        assert keys(getattr(result, name)) == [cell for cell in cells for _ in range(bins)]
    assert list(result.by_class["class"]) == [*bundle.classes] * len(cells)
    for name in TABLES:
        assert list(getattr(result, name))[:4] == ["kind", "judge", "norm", "eps"]
    shares = ["flip_rate", "flip_rate_low", "flip_rate_high"]
    kl = ["kl", "kl_low", "kl_high", "kl_per_pixel"]
    counted = ["correct_pixels", "flipped_pixels"]
    assert list(result.flips)[4:] == ["relative_norm", *shares, *kl, "miou", "miou_clean", "images", *counted]
    assert list(result.by_class)[4:] == ["class", *counted, *shares]
    assert list(result.by_distance)[4:] == list(result.by_confidence)[4:] == ["low", "high", *counted, *shares]
    assert list(result.confusion)[4:] == ["truth", "prediction", "pixels"]
    assert (result.confusion["truth"] != result.confusion["prediction"]).all()
    # Against itself there is no difference, and an own size has no partner.
    assert set(result.paired["norm"]) == {"image"}
    assert not (result.paired["kind"] == result.paired["against"]).any()
    assert len(result.paired) == (2 * (len(KINDS) - 2) + 2) * len(JUDGES) * len(EPS)


def test_strata_and_confusion_sum_to_the_total(result: Flips) -> None:
    key = ["kind", "judge", "norm", "eps"]
    both = ["correct_pixels", "flipped_pixels"]
    totals = result.flips.set_index(key)[both]
    for name in ("by_class", "by_distance", "by_confidence"):
        sums = getattr(result, name).groupby(key, sort=False)[both].sum()
        pd.testing.assert_frame_equal(sums, totals)
    pairs = result.confusion.groupby(key)["pixels"].sum()
    assert (pairs == totals["flipped_pixels"].loc[pairs.index]).all()
    # Whoever judges, the pixels that are right before do not depend on who perturbs.
    assert (totals.groupby("judge")["correct_pixels"].nunique() == 1).all()
    assert totals["correct_pixels"].nunique() == len(JUDGES)


def test_rates_lie_in_their_intervals(result: Flips) -> None:
    for name in TABLES[:1] + TABLES[2:5]:
        table = getattr(result, name).dropna(subset="flip_rate")
        assert (table["flip_rate_low"] <= table["flip_rate"] + 1e-12).all()
        assert (table["flip_rate"] <= table["flip_rate_high"] + 1e-12).all()
    assert (result.flips["kl_low"] <= result.flips["kl"]).all()
    assert (result.flips["kl"] <= result.flips["kl_high"]).all()


def test_the_health_of_every_search_is_told(result: Flips) -> None:
    assert list(result.health) == list(KINDS)
    for kind in ("vat", "tvat", "teacher1", "teacher2"):
        health = result.health[kind]
        assert health["norm_over_eps"] == pytest.approx({"min": 1, "mean": 1, "max": 1, "images": 6}, rel=1e-5)
        assert 0.999 <= health["cosine"]["min"] <= health["cosine"]["mean"] <= health["cosine"]["max"] <= 1 + 1e-9
        assert health["unchanged"]["max"] < 0.1
        assert health["warnings"] == []
    for kind in ("random", *FEATURE_KINDS):  # they search nothing
        assert set(result.health[kind]) == {"norm_over_eps", "warnings"}
        assert result.health[kind]["norm_over_eps"]["mean"] == pytest.approx(1, rel=1e-5)
    ascent = result.health["pgd"]
    assert ascent["gain"]["min"] > 1
    assert ascent["gain"]["images"] == 6 * len(EPS)  # it depends on eps
    official = result.health["tvat-official"]
    assert official["cosine"]["max"] < 0.5
    assert official["norm_over_eps"]["max"] < 1 - 1e-3
    assert official["unchanged"]["min"] > 0.2
    assert len(official["warnings"]) == 2


def assert_equal(first: Flips, second: Flips) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
    assert first.health == second.health


def test_results_repeat_to_the_bit_with_the_seed(bundle: PSMT, blocks: Any) -> None:
    how: dict[str, Any] = {"eps": (8.0,), "ids": blocks.ids("val")[:3]}
    first = flips(bundle, blocks, seed=SEED, **how)
    torch.manual_seed(99)
    assert_equal(first, flips(bundle, blocks, seed=SEED, **how))
    other = flips(bundle, blocks, seed=SEED + 1, **how)
    keys = ["kind", "judge", "norm"]
    kl = [table.flips.set_index(keys)["kl"] for table in (first, other)]
    assert (kl[0] != kl[1]).all()


def test_the_order_of_images_changes_no_count(bundle: PSMT, blocks: Any, result: Flips) -> None:
    again = flips(bundle, blocks, eps=EPS, seed=SEED, ids=tuple(reversed(blocks.ids("val"))))
    for name in ("flips", "by_class", "by_distance", "by_confidence"):
        one, other = getattr(result, name), getattr(again, name)
        for column in ("correct_pixels", "flipped_pixels"):
            assert one[column].tolist() == other[column].tolist()
        np.testing.assert_allclose(one["flip_rate"], other["flip_rate"], rtol=1e-12)
    np.testing.assert_allclose(result.flips["kl"], again.flips["kl"], rtol=1e-9)
    pixels = ["kind", "judge", "norm", "truth", "prediction", "pixels"]
    pd.testing.assert_frame_equal(result.confusion[pixels], again.confusion[pixels])


def test_images_count_alike_alone_and_together(bundle: PSMT, blocks: Any, result: Flips) -> None:
    kinds = ("vat", "pgd", "cutout")
    alone = [flips(bundle, blocks, eps=EPS, seed=SEED, kinds=kinds, ids=(id,)) for id in blocks.ids("val")]
    whole = result.flips[result.flips["kind"].isin(kinds)]
    for column in ("correct_pixels", "flipped_pixels"):
        assert sum(np.array(each.flips[column]) for each in alone).tolist() == whole[column].tolist()


def test_only_what_is_asked_for(bundle: PSMT, blocks: Any, result: Flips) -> None:
    found = flips(
        bundle,
        blocks,
        eps=(8.0, 8.0),
        kinds=("random", "vat", "random"),
        judges=("ensemble", "student"),
        ids=blocks.ids("val")[:2],
        seed=SEED,
        parameters={"run": "x"},
    )
    cells = [("random", "ensemble"), ("random", "student"), ("vat", "ensemble"), ("vat", "student")]
    assert list(zip(found.flips["kind"], found.flips["judge"], strict=True)) == cells
    assert set(found.flips["images"]) == {2}
    assert list(found.health) == ["random", "vat"]
    asked = {"eps": [8.0], "kinds": ["random", "vat"], "judges": ["ensemble", "student"], "left_out": [], "images": 2}
    assert found.parameters == {**asked, **vars(Settings()), "seed": SEED, "run": "x"}
    assert set(result.parameters["kinds"]) == set(KINDS) and result.parameters["judges"] == list(JUDGES)


@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan])
def test_an_eps_without_a_size_is_refused(bundle: PSMT, blocks: Any, eps: float) -> None:
    with pytest.raises(UserError, match="eps above 0"):
        flips(bundle, blocks, eps=(2.0, eps), kinds=("vat",), ids=blocks.ids("val")[:1])


def test_unknown_kinds_and_judges_are_refused(bundle: PSMT, blocks: Any) -> None:
    with pytest.raises(UserError, match=r"kinds among vat, tvat, .*, cutout, got vta; choose"):
        flips(bundle, blocks, kinds=("vat", "vta"))
    with pytest.raises(UserError, match=r"judges among student, teacher1, teacher2, ensemble, got teacher; choose"):
        flips(bundle, blocks, judges=("student", "teacher"))
    with pytest.raises(UserError, match="at least 1 validation image, got none"):
        flips(bundle, blocks, ids=())


def test_a_student_alone_has_no_teachers_kinds_nor_judges(supervised_run: Path, blocks: Any) -> None:
    alone = load_run(supervised_run)
    found = flips(alone, blocks, eps=(2.0,), ids=blocks.ids("val")[:2])
    there = ["vat", "pgd", "random", "dropout", "feature-drop", "feature-noise", "cutout"]
    assert list(dict.fromkeys(found.flips["kind"])) == list(found.health) == found.parameters["kinds"] == there
    assert set(found.flips["judge"]) == {"student"} == set(found.parameters["judges"])
    assert found.parameters["left_out"] == ["tvat", "teacher1", "teacher2", "tvat-official"]
    with pytest.raises(UserError, match=r"kinds among vat, pgd, random, .*, got tvat"):
        flips(alone, blocks, kinds=("tvat",))
    with pytest.raises(UserError, match=r"judges among student, got ensemble"):
        flips(alone, blocks, judges=("ensemble",))


def test_no_correct_pixel_is_an_error_that_says_so(bundle: PSMT, blocks: Any) -> None:
    class Void:
        """The same images, all void."""

        classes = blocks.classes
        ids, image = blocks.ids, blocks.image

        @staticmethod
        def label(id: str) -> np.ndarray:
            return np.full_like(blocks.label(id), 255)

    with pytest.raises(UserError, match="pixels that student predicts correctly, got none"):
        flips(bundle, Void(), eps=(2.0,), kinds=("random",), ids=blocks.ids("val")[:2])


def test_networks_keep_their_weights(psmt_run: Path, blocks: Any) -> None:
    own = load_run(psmt_run)
    before = {key: value.clone() for key, value in own.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in own.parameters()]
    flips(own, blocks, eps=(2.0,), ids=blocks.ids("val")[:1])
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
    assert all(value.dtype == before[key].dtype for key, value in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())
    assert [parameter.requires_grad for parameter in own.parameters()] == wanted


def test_networks_on_two_devices_are_refused(psmt_run: Path, blocks: Any) -> None:
    torn = load_run(psmt_run)
    torn.teachers[1].classifier.to("meta")
    with pytest.raises(UserError, match=r"all networks on one device, got cpu, meta; .*\.to\(device\)"):
        flips(torn, blocks, eps=(2.0,), kinds=("random",), judges=("student",), ids=blocks.ids("val")[:1])


@pytest.mark.parametrize("kind", ["vat", "tvat", "pgd", "random", "dropout", "cutout"])
@pytest.mark.parametrize(
    ("network", "part"),
    [("student", "backbone"), ("student", "classifier"), ("teacher1", "classifier"), ("teacher2", "classifier")],
)
def test_weights_that_are_not_numbers_are_refused(
    psmt_run: Path, blocks: Any, network: str, part: str, kind: str
) -> None:
    broken = load_run(psmt_run)
    with torch.no_grad():
        next(getattr(broken.networks()[network], part).parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"NaN|finite"):
        flips(broken, blocks, eps=(2.0,), kinds=(kind,), ids=blocks.ids("val")[:1])


@pytest.mark.parametrize(
    "changed",
    [{"norm": "pixel"}, {"search": "exact"}, {"objective": "cross-entropy"}, {"iterations": 2}, {"ascent_steps": 3}],
    ids=lambda changed: next(iter(changed)),
)
def test_settings_are_used_and_recorded(bundle: PSMT, blocks: Any, result: Flips, changed: dict[str, Any]) -> None:
    settings, ids = Settings(**changed), blocks.ids("val")[:2]
    kinds = ("vat", "tvat", "pgd", "random", "dropout")
    how: dict[str, Any] = {"eps": (2.0,), "kinds": kinds, "judges": ("student",), "ids": ids, "seed": SEED}
    plain, found = flips(bundle, blocks, **how), flips(bundle, blocks, settings=settings, **how)
    assert found.parameters.items() >= vars(settings).items()
    assert set(found.flips["norm"]) == {settings.norm, "own"}
    kl = [table.flips.query("norm != 'own'").set_index("kind")["kl"] for table in (plain, found)]
    moved = {kind for kind in kinds if kl[0][kind] != kl[1][kind]}
    (name,) = changed
    searched = {"vat", "tvat", "pgd"}
    assert moved == {"norm": set(kinds), "ascent_steps": {"pgd"}}.get(name, searched)
    for kind in ("vat", "tvat"):
        assert found.health[kind]["cosine"]["min"] > 0.999
        assert found.health[kind]["warnings"] == []
    if name == "norm":
        places = {"val00": 12 * 16, "val01": 14 * 14}
        for row in found.flips.query("norm == 'pixel'").to_dict("records"):
            assert row["eps"] == 2
            # Every place's vector has norm 2, so that the whole has 2 sqrt(places).
            whole = {id: 2 * math.sqrt(count) for id, count in places.items()}
            z = {id: norm_of_z(bundle, blocks, id) for id in places}
            assert row["relative_norm"] == pytest.approx(np.mean([whole[id] / z[id] for id in places]), rel=1e-4)
    own = [table.flips.query("norm == 'own'").drop(columns="eps") for table in (plain, found)]
    pd.testing.assert_frame_equal(*own)  # the authors' own size knows no setting
    if name == "search":
        assert found.health["vat"]["cosine"]["min"] > 1 - 1e-9
        assert found.health["vat"]["unchanged"]["max"] == 0
    if name == "objective":
        # It wants errors, not any change.
        rates = [table.flips.set_index(["kind", "norm"])["flip_rate"] for table in (plain, found)]
        assert rates[1]["vat", "image"] > rates[0]["vat", "image"]


def norm_of_z(bundle: PSMT, data: Any, id: str) -> float:
    pixels = torch.from_numpy(data.image(id)[None].copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return float(bundle.student.encode(pixels).norm())


class Two(nn.Module):
    """A foreign network of two layers."""

    multiple = 8

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 5, 8, stride=8), nn.Conv2d(5, classes, 1)

    def encode(self, images: Tensor) -> Tensor:
        return self.body(images).tanh()

    def decode(self, z: Tensor, size: Any) -> Tensor:
        return F.interpolate(self.head(z), size=tuple(size))


def foreign(*classes: int) -> Roles:
    torch.manual_seed(1)
    student, *teachers = (Two(each) for each in classes)
    return Roles(student, teachers, classes=("background", "red", "green", "blue", "yellow", "white"))


def test_a_foreign_network_of_two_layers(blocks: Any) -> None:
    bundle = foreign(6, 6, 6)
    found = flips(bundle, blocks, eps=EPS, seed=SEED)
    reference = Reference(bundle, blocks)
    assert set(found.flips["kind"]) == set(KINDS) and set(found.flips["judge"]) == set(JUDGES)
    for kind, judge in (("vat", "student"), ("tvat", "teacher1"), ("random", "ensemble")):
        rows = reference.measured(kind, 8.0, judge)
        (row,) = pick(found.flips, kind, judge, 8.0).to_dict("records")
        assert row["correct_pixels"] == counts(rows, "right").sum() > 0
        assert row["flipped_pixels"] == counts(rows, "flipped").sum()
        assert row["kl"] == pytest.approx(np.mean([each["kl"] for each in rows]), rel=1e-3)


@pytest.mark.parametrize("kind", ["vat", "random"])
@pytest.mark.parametrize("classes", [(4,), (9,), (6, 7), (6, 6, 5)])
def test_logits_of_another_number_of_classes_are_refused(blocks: Any, classes: tuple[int, ...], kind: str) -> None:
    with pytest.raises(UserError, match="classes"):
        flips(foreign(*classes), blocks, eps=(2.0,), kinds=(kind,), ids=blocks.ids("val")[:2])


def test_what_does_not_move_does_not_flip() -> None:
    logits = torch.zeros(1, 21, 1, 2)
    logits[0, 5] = 1e-8  # lost in the float32 of log-probabilities, near -3
    labels = torch.tensor([[[0, 5]]])
    distance = torch.zeros(1, 1, 2, dtype=torch.int64)
    clean = Clean.of(logits, labels, distance)
    assert clean.prediction.tolist() == [[[5, 5]]]
    tally, bins = Tally(), {"class": np.zeros(21, np.int64)}
    tally.add(clean, bins, np.zeros((21, 21), np.int64), logits, norm=0.0, relative_norm=0.0)
    assert tally.kl == [0.0]
    assert not np.any(tally.flips)
