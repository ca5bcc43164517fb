"""Which classes and panels a sample has, and what cannot be asked of it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.models.build import build_networks
from psmt_viz.models.networks import Networks
from tests.probes.asking import sampled
from tests.probes.predicted import counted


def test_too_many_pixels_are_as_many_as_there_are(networks: Networks, blocks: Any) -> None:
    ranked = sorted(counted(networks, blocks).values(), reverse=True)
    # Classes that have more than the rarest one shown have one more than it.
    most, number = max(
        (number * least + sum(count > least for count in ranked[:number]), number)
        for number, least in enumerate(ranked[:5], 1)
        if number > 1
    )
    found = sampled(networks, blocks, pixels=500_000)
    labels, counts = np.unique(found.label, return_counts=True)
    assert (len(labels), counts.sum(), counts.min()) == (number, most, ranked[number - 1])
    assert counts.max() - counts.min() <= 1
    assert list(found.left_out.values()) == ranked[number:5]
    places = list(zip(found.image, found.row, found.col, strict=True))
    assert len(set(places)) == len(places)


def test_the_pixels_of_a_class_too_rare_go_to_the_others(networks: Networks, blocks: Any) -> None:
    """The others were first asked for fewer pixels each; they get those that they would have had from the start."""
    counts = counted(networks, blocks)
    ranked = sorted(counts, key=lambda name: -counts[name])
    rare, pixels = ranked[5], 2 * counts[ranked[1]]
    assert 3 * (counts[rare] + 1) < pixels
    found = sampled(networks, blocks, pixels=pixels, classes=(*ranked[:2], rare))
    assert found.left_out == {rare: counts[rare]}
    wide = sampled(networks, blocks, pixels=pixels, classes=tuple(ranked[:2]))
    for name in ("image", "row", "col", "label"):
        assert np.array_equal(getattr(found, name), getattr(wide, name))
    for panel, values in wide.features.items():
        assert np.array_equal(found.features[panel], values)


def test_fewer_than_five_classes(blocks: Any) -> None:
    from psmt_viz.presets import configure

    config = configure("scenes", {"aspp_channels": 4, "low_channels": 4, "decoder_channels": 4}).model

    class Four:
        """The same images with their first four classes."""

        classes = blocks.classes[:4]
        ids, image = blocks.ids, blocks.image

        @staticmethod
        def label(id: str) -> np.ndarray:
            label = blocks.label(id)
            return np.where(label < 4, label, 255).astype(np.uint8)

    few = build_networks(config, Four.classes, teachers=("teacher1", "teacher2"))
    counts = {name: count for name, count in counted(few, Four()).items() if count}
    if len(counts) > 1:
        found = sampled(few, Four(), pixels=10)
        assert {Four.classes[label] for label in found.label} <= set(counts)
    else:
        with pytest.raises(UserError, match="at least 2 classes, got background"):
            sampled(few, Four(), pixels=10)


@pytest.mark.parametrize("pixels", [7, 12, 23])
def test_pixels_need_no_multiple_of_the_classes(networks: Networks, blocks: Any, pixels: int) -> None:
    found = sampled(networks, blocks, pixels=pixels)
    _, counts = np.unique(found.label, return_counts=True)
    assert counts.sum() == pixels
    assert set(counts) == {pixels // 5, pixels // 5 + 1}
    # Those with the most correct pixels have one more.
    correct = counted(networks, blocks)
    names = [networks.classes[label] for label in np.unique(found.label)]
    more = {name for name, count in zip(names, counts, strict=True) if count > pixels // 5}
    assert more == set(sorted(names, key=lambda name: -correct[name])[: pixels % 5])


def test_named_classes_are_taken_in_place_of_the_largest(networks: Networks, blocks: Any) -> None:
    found = sampled(networks, blocks, pixels=20, classes=("white", "green"))
    names, counts = np.unique([networks.classes[label] for label in found.label], return_counts=True)
    assert (list(names), list(counts)) == (["green", "white"], [10, 10])
    twice = sampled(networks, blocks, pixels=20, classes=("white", "green", "white"))
    assert np.array_equal(twice.row, found.row)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": -1.0}, "--margin of 0 pixels or more, got -1"),
        ({"margin": math.nan}, "--margin of 0 pixels or more, got nan"),
        ({"margin": 1e4}, "correctly predicted pixels of at least 2 classes"),
        ({"batch": 0}, "--batch of 1 image or more, got 0"),
    ],
)
def test_bad_settings(networks: Networks, blocks: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sampled(networks, blocks, pixels=10, **settings)


@pytest.mark.parametrize(
    ("pixels", "classes", "message"),
    [
        (10, ("green", "pink"), "classes among background, red, .*, got 'pink'"),
        (2, (), "--n-pixels of 3 or more, got 2"),
        (0, (), "--n-pixels of 3 or more, got 0"),
        (-5, ("green", "white"), "--n-pixels of 3 or more, got -5"),
    ],
)
def test_bad_requests(networks: Networks, blocks: Any, pixels: int, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sampled(networks, blocks, pixels=pixels, classes=classes)


def test_panels_are_kinds_in_the_order_asked(networks: Networks, blocks: Any) -> None:
    asked = {"pixels": 10, "classes": ("background",), "eps": 8.0, "seed": 1}
    found = sampled(networks, blocks, panels=("random", "vat", "clean", "feature-drop"), **asked)
    assert tuple(found.prediction) == tuple(found.features) == ("clean", "random", "vat", "feature-drop")
    usual = sampled(networks, blocks, **asked)
    assert tuple(usual.prediction) == ("clean", "vat", "tvat")
    assert np.array_equal(found.row, usual.row)  # the panels change no choice of pixels
    for panel in ("clean", "vat"):
        assert np.array_equal(found.features[panel], usual.features[panel])
    assert not np.allclose(found.features["random"], usual.features["vat"])


def test_the_relative_norm_is_that_of_a_panel_of_norm_eps(networks: Networks, blocks: Any) -> None:
    asked = {"pixels": 10, "classes": ("background",)}
    norms = {
        kinds: sampled(networks, blocks, panels=kinds, **asked).relative_norm
        for kinds in (("vat",), ("random", "tvat-official"), ("tvat-official",))
    }
    assert norms["random", "tvat-official"] == pytest.approx(norms["vat",], rel=1e-5)
    assert norms["tvat-official",] < 0.1 * norms["vat",]


def test_without_teachers_vat_is_compared_with_a_random_direction(supervised_run: Path, blocks: Any) -> None:
    alone = load_run(supervised_run)
    found = sampled(alone, blocks, pixels=10, classes=("background",))
    assert tuple(found.prediction) == ("clean", "vat", "random")
    with pytest.raises(UserError, match=r"kinds among vat, .*, got tvat; choose some of them; it needs teachers"):
        sampled(alone, blocks, pixels=10, panels=("vat", "tvat"))


def test_the_original_alone_is_no_comparison(networks: Networks, blocks: Any) -> None:
    with pytest.raises(UserError, match="--panels with a kind of perturbation, got clean; add one"):
        sampled(networks, blocks, pixels=10, panels=("clean",))
