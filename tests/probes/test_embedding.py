"""The t-SNE map: one frozen layout for all panels, repeatable, and honest about what it counts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from psmt_viz.models.psmt import PSMT
from psmt_viz.probes.embedding import embed_pixels
from psmt_viz.probes.pixels import sample_pixels
from psmt_viz.results import PixelEmbedding

PIXELS, EPS, SEED = 100, 8.0, 5
COLUMNS = "image row col label pred_clean pred_vat pred_tvat x_clean y_clean x_vat y_vat x_tvat y_tvat"


def embedded(bundle: PSMT, data: Any, **settings: Any) -> tuple[PixelEmbedding, dict[str, float]]:
    return embed_pixels(bundle, data, **{"n_pixels": PIXELS, "eps": EPS, "seed": SEED, "perplexity": 10.0} | settings)


@pytest.fixture(scope="module")
def result(bundle: PSMT, blocks: Any) -> PixelEmbedding:
    return embedded(bundle, blocks, parameters={"run": "x"})[0]


def place(pixels: pd.DataFrame, panel: str) -> np.ndarray:
    return pixels[[f"x_{panel}", f"y_{panel}"]].to_numpy()


def test_the_table_is_the_sample_with_places(bundle: PSMT, blocks: Any, result: PixelEmbedding) -> None:
    pixels = result.pixels
    assert " ".join(pixels) == COLUMNS
    assert len(pixels) == PIXELS
    assert pixels["label"].value_counts().tolist() == [PIXELS // 5] * 5
    assert not pixels.isna().any(axis=None)
    sample = sample_pixels(bundle, blocks, pixels=PIXELS, eps=EPS, seed=SEED)
    assert pixels["image"].tolist() == [blocks.ids("val")[image] for image in sample.image]
    for name in ("row", "col", "label"):
        assert np.array_equal(pixels[name], getattr(sample, name))
    for panel in ("clean", "vat", "tvat"):
        assert np.array_equal(pixels[f"pred_{panel}"], sample.prediction[panel])


def test_counts_in_the_parameters_are_those_of_the_table(result: PixelEmbedding) -> None:
    facts = result.parameters
    for panel in ("clean", "vat", "tvat"):
        wrong = int((result.pixels[f"pred_{panel}"] != result.pixels["label"]).sum())
        assert facts["flipped"][panel] == wrong == result.flipped(panel).sum()
        assert facts["flip_rate"][panel] == wrong / PIXELS
    assert facts["flipped"]["clean"] == 0
    assert facts["flipped"]["vat"] > 0
    assert facts["flipped"]["tvat"] > 0


def test_what_was_asked_and_what_was_used(bundle: PSMT, result: PixelEmbedding) -> None:
    facts = result.parameters
    assert (facts["n_pixels"], facts["eps"], facts["seed"], facts["layer"], facts["run"]) == (
        PIXELS,
        EPS,
        SEED,
        "z",
        "x",
    )
    assert (facts["perplexity_asked"], facts["perplexity"]) == (10, 10)
    assert facts["pca_dimensions"] == 24  # z's channels, fewer than 50
    assert facts["pca_variance"] == pytest.approx(1, abs=1e-4)
    assert facts["classes"] == [bundle.classes[label] for label in sorted(set(result.pixels["label"]))]
    assert list(facts["correct_pixels"]) == list(bundle.classes)


def test_a_perplexity_too_large_for_the_pixels_is_lowered(bundle: PSMT, blocks: Any) -> None:
    facts = embedded(bundle, blocks, n_pixels=25, perplexity=30.0)[0].parameters
    assert (facts["perplexity_asked"], facts["perplexity"]) == (30, 8)


def test_neighbours_on_the_map_were_neighbours_before(bundle: PSMT, blocks: Any, result: PixelEmbedding) -> None:
    features = sample_pixels(bundle, blocks, pixels=PIXELS, eps=EPS, seed=SEED).features["clean"]
    own = trustworthiness(features, place(result.pixels, "clean"), n_neighbors=15)
    assert result.parameters["trustworthiness"] == pytest.approx(own, abs=5e-3)
    shuffled = np.random.default_rng(0).permutation(place(result.pixels, "clean"))
    assert own > 0.8
    assert trustworthiness(features, shuffled, n_neighbors=15) < 0.6
    # Classes lie together; with labels dealt out anew they do not.
    labels = result.pixels["label"].to_numpy()
    nearest = KNeighborsClassifier(5).fit(place(result.pixels, "clean"), labels)
    assert nearest.score(place(result.pixels, "clean"), labels) > 0.7
    anew = np.random.default_rng(0).permutation(labels)
    assert (
        KNeighborsClassifier(5).fit(place(result.pixels, "clean"), anew).score(place(result.pixels, "clean"), anew)
        < 0.6
    )


def test_pixels_that_do_not_move_stay_where_they_were(bundle: PSMT, blocks: Any, result: PixelEmbedding) -> None:
    still = embedded(bundle, blocks, eps=1e-4)[0]
    moves = {}
    for name, found in (("still", still), ("moved", result)):
        clean = place(found.pixels, "clean")
        extent = np.ptp(clean, axis=0).max()
        for panel in ("vat", "tvat"):
            moved = float(np.median(np.linalg.norm(place(found.pixels, panel) - clean, axis=1)) / extent)
            moves[name, panel] = moved
            assert found.parameters["median_move"][panel] == pytest.approx(moved, rel=1e-9)
    # The map is the same one, laid out before any perturbation.
    assert np.array_equal(place(still.pixels, "clean"), place(result.pixels, "clean"))
    for panel in ("vat", "tvat"):
        assert moves["still", panel] < 0.05
        assert moves["still", panel] == pytest.approx(still.parameters["placement_error"], rel=0.25)
        assert still.parameters["flipped"][panel] <= 1
    # Panels share an origin: at no eps may all points drift together.
    for panel in ("vat", "tvat"):
        drift = (place(still.pixels, panel) - place(still.pixels, "clean")).mean(axis=0)
        assert np.abs(drift).max() < 0.05 * np.ptp(place(still.pixels, "clean"), axis=0).max()


def test_equal_seeds_give_equal_frames_and_others_do_not(bundle: PSMT, blocks: Any, result: PixelEmbedding) -> None:
    again, seconds = embedded(bundle, blocks, parameters={"run": "x"})
    pd.testing.assert_frame_equal(again.pixels, result.pixels, check_exact=True)
    assert again.parameters == result.parameters
    assert set(seconds) == {"sampling", "layout", "measuring"}
    assert all(value > 0 for value in seconds.values())
    other = embedded(bundle, blocks, seed=SEED + 1)[0]
    assert not np.array_equal(place(other.pixels, "clean"), place(result.pixels, "clean"))
