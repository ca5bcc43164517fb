"""The perturbation probe: its tables, that they repeat, and that its settings are used."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from psmt_viz import load_run
from psmt_viz.kinds import KINDS
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import SearchSettings
from psmt_viz.probes.perturb import perturb
from psmt_viz.probes.tally import Changes, Clean
from psmt_viz.results import Flips
from tests.probes.flips_reference import EPS, JUDGES, SEED

TABLES = ("flips", "paired", "by_class", "by_distance", "by_confidence", "confusion")


def test_rows_in_the_order_asked_and_columns_as_promised(networks: Networks, result: Flips) -> None:
    sizes = {kind: (*EPS, *(("own",) if KINDS[kind].own_size else ())) for kind in KINDS}
    cells = [(kind, judge, size) for kind in KINDS for judge in JUDGES for size in sizes[kind]]

    def keys(table: pd.DataFrame) -> list[tuple[Any, ...]]:
        size = table["eps"].astype(object).where(table["norm"] != "own", "own")
        return list(zip(table["kind"], table["judge"], size, strict=True))

    assert keys(result.flips) == cells
    for name, bins in (("by_class", len(networks.classes)), ("by_distance", 7), ("by_confidence", 8)):
        assert keys(getattr(result, name)) == [cell for cell in cells for _ in range(bins)]
    assert list(result.by_class["class"]) == [*networks.classes] * len(cells)
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
        none = table[table["flipped_pixels"] == 0]
        assert (none["flip_rate_low"] == 0).all() and (none["flip_rate_high"] > 1 / none["correct_pixels"]).all()
    assert (result.by_confidence["flipped_pixels"] == 0).any()
    assert (result.paired["difference_low"] < result.paired["difference_high"]).all()
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
    for kind in (name for name, kind in KINDS.items() if not kind.searches):
        assert set(result.health[kind]) == {"norm_over_eps", "warnings"}
        assert result.health[kind]["norm_over_eps"]["mean"] == pytest.approx(1, rel=1e-5)
    ascent = result.health["pgd"]
    assert ascent["gain"]["min"] > 1
    assert ascent["gain"]["images"] == 6 * len(EPS)  # it depends on eps
    official = result.health["tvat-official"]
    assert official["cosine"]["max"] < 0.5
    assert 0 < official["norm_over_eps"]["max"] < 0.01
    assert official["unchanged"]["min"] > 0.2
    assert len(official["warnings"]) == 3  # its size, its step and its direction


def assert_equal(first: Flips, second: Flips) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
    assert first.health == second.health


def test_results_repeat_to_the_bit_with_the_seed(networks: Networks, blocks: Any) -> None:
    how: dict[str, Any] = {"eps": (8.0,), "ids": blocks.ids("val")[:3]}
    first = perturb(networks, blocks, seed=SEED, **how)
    torch.manual_seed(99)
    assert_equal(first, perturb(networks, blocks, seed=SEED, **how))
    other = perturb(networks, blocks, seed=SEED + 1, **how)
    keys = ["kind", "judge", "norm"]
    kl = [table.flips.set_index(keys)["kl"] for table in (first, other)]
    assert (kl[0] != kl[1]).all()


@pytest.mark.parametrize(
    "how", [{}, {"norm": "pixel"}, {"objective": "cross-entropy"}], ids=["as in the paper", "pixel", "cross-entropy"]
)
def test_one_by_one_and_together_are_equal_to_the_bit(networks: Networks, blocks: Any, how: dict[str, Any]) -> None:
    """Of three norms, one no power of two, so that scaling by it rounds."""
    given: dict[str, Any] = {"eps": (0.3, 2.0, 7.0), "ids": blocks.ids("val")[:3], "settings": SearchSettings(**how)}
    alone = perturb(networks, blocks, batch=1, **given)
    for batch in (2, 8):
        assert_equal(alone, perturb(networks, blocks, batch=batch, **given))


def test_the_order_of_images_changes_no_count(networks: Networks, blocks: Any, result: Flips) -> None:
    again = perturb(networks, blocks, eps=EPS, seed=SEED, ids=tuple(reversed(blocks.ids("val"))))
    for name in ("flips", "by_class", "by_distance", "by_confidence"):
        one, other = getattr(result, name), getattr(again, name)
        for column in ("correct_pixels", "flipped_pixels"):
            assert one[column].tolist() == other[column].tolist()
        np.testing.assert_allclose(one["flip_rate"], other["flip_rate"], rtol=1e-12)
    np.testing.assert_allclose(result.flips["kl"], again.flips["kl"], rtol=1e-9)
    pixels = ["kind", "judge", "norm", "truth", "prediction", "pixels"]
    pd.testing.assert_frame_equal(result.confusion[pixels], again.confusion[pixels])


def test_images_count_alike_alone_and_together(networks: Networks, blocks: Any, result: Flips) -> None:
    kinds = ("vat", "pgd", "cutout")
    alone = [perturb(networks, blocks, eps=EPS, seed=SEED, kinds=kinds, ids=(id,)) for id in blocks.ids("val")]
    whole = result.flips[result.flips["kind"].isin(kinds)]
    for column in ("correct_pixels", "flipped_pixels"):
        assert sum(np.array(each.flips[column]) for each in alone).tolist() == whole[column].tolist()


def test_only_what_is_asked_for(networks: Networks, blocks: Any, result: Flips) -> None:
    found = perturb(
        networks,
        blocks,
        eps=(8.0, 8.0),
        kinds=("random", "vat", "random"),
        judges=("ensemble", "student"),
        ids=blocks.ids("val")[:2],
        seed=SEED,
        subject={"run": "x"},
    )
    cells = [("random", "ensemble"), ("random", "student"), ("vat", "ensemble"), ("vat", "student")]
    assert list(zip(found.flips["kind"], found.flips["judge"], strict=True)) == cells
    assert set(found.flips["images"]) == {2}
    assert list(found.health) == ["random", "vat"]
    asked = {"eps": [8.0, 8.0], "kinds": ["random", "vat", "random"], "judges": ["ensemble", "student"]}
    assert found.asked == {**asked, **vars(SearchSettings()), "seed": SEED}
    used = {"eps": [8.0], "kinds": ["random", "vat"], "judges": ["ensemble", "student"], "left_out": [], "images": 2}
    assert (found.used, found.subject) == (used, {"run": "x"})
    assert set(result.used["kinds"]) == set(KINDS) and result.used["judges"] == list(JUDGES)


def test_networks_keep_their_weights(psmt_run: Path, blocks: Any) -> None:
    own = load_run(psmt_run)
    before = {key: value.clone() for key, value in own.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in own.parameters()]
    perturb(own, blocks, eps=(2.0,), ids=blocks.ids("val")[:1])
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
    assert all(value.dtype == before[key].dtype for key, value in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())
    assert [parameter.requires_grad for parameter in own.parameters()] == wanted


@pytest.mark.parametrize(
    "changed",
    [{"norm": "pixel"}, {"search": "exact"}, {"objective": "cross-entropy"}, {"iterations": 2}, {"ascent_steps": 3}],
    ids=lambda changed: next(iter(changed)),
)
def test_settings_are_used_and_recorded(
    networks: Networks, blocks: Any, result: Flips, changed: dict[str, Any]
) -> None:
    settings, ids = SearchSettings(**changed), blocks.ids("val")[:2]
    kinds = ("vat", "tvat", "pgd", "random", "dropout")
    how: dict[str, Any] = {"eps": (2.0,), "kinds": kinds, "judges": ("student",), "ids": ids, "seed": SEED}
    plain, found = perturb(networks, blocks, **how), perturb(networks, blocks, settings=settings, **how)
    assert found.asked.items() >= vars(settings).items()
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
            z = {id: norm_of_z(networks, blocks, id) for id in places}
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


def norm_of_z(networks: Networks, data: Any, id: str) -> float:
    pixels = torch.from_numpy(data.image(id)[None].copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return float(networks.student.encode(pixels).norm())


def test_what_does_not_move_does_not_flip() -> None:
    logits = torch.zeros(1, 21, 1, 2)
    logits[0, 5] = 1e-8  # lost in the float32 of log-probabilities, near -3
    labels = torch.tensor([[[0, 5]]])
    distance = torch.zeros(1, 1, 2, dtype=torch.int64)
    clean = Clean.of(logits, labels, distance)
    assert clean.prediction.tolist() == [[[5, 5]]]
    changes = Changes.of(clean, logits)
    assert changes.kl == [0.0]
    assert not np.any(changes.flips) and not np.any(changes.matrix)
