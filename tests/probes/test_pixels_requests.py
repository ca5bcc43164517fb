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


def test_too_many_pixels_say_how_many_there_are(networks: Networks, blocks: Any) -> None:
    counts = counted(networks, blocks)
    fifth = sorted(counts.values())[-5]
    with pytest.raises(UserError) as error:
        sampled(networks, blocks, pixels=50_000)
    message = str(error.value)
    assert message.startswith("expected 10,000 correctly predicted pixels in each of 5 classes, got ")
    assert all(f"{name} {count:,}" in message for name, count in counts.items())
    assert message.endswith(f"give --n-pixels {5 * fifth} or less")
    # The way out that it names is the way out.
    assert len(sampled(networks, blocks, pixels=5 * fifth).label) == 5 * fifth
    with pytest.raises(UserError, match="or less"):
        sampled(networks, blocks, pixels=5 * fifth + 5)


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

    with pytest.raises(UserError, match=r"5 classes with correctly predicted pixels, got background .*name fewer --cl"):
        sampled(build_networks(config, Four.classes, teachers=("teacher1", "teacher2")), Four(), pixels=10)


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
        ({"margin": 1e4}, "5 classes with correctly predicted pixels"),
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
        (12, (), "--n-pixels a multiple of 5, got 12; give 10"),
        (4, (), "--n-pixels a multiple of 5, got 4; give 5"),
        (0, (), "--n-pixels a multiple of 5, got 0; give 5"),
        (-5, (), "--n-pixels a multiple of 5, got -5; give 5"),
        (9, ("green", "white"), "--n-pixels a multiple of 2, got 9; give 8"),
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
