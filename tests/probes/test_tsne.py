"""The t-SNE map: one frozen layout for all panels, repeatable, and honest about what it counts."""

import re
from io import BytesIO
from typing import Any

import numpy as np
import openTSNE
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.map_quality import map_quality
from psmt_viz.probes.pixels import sample_pixels
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.shares import share
from psmt_viz.probes.tsne import tsne
from psmt_viz.probes.tsne_map import lay_out
from psmt_viz.results import PixelEmbedding

PIXELS, EPS, SEED = 100, 8.0, 5
COLUMNS = "image row col label pred_clean pred_vat pred_tvat x_clean y_clean x_vat y_vat x_tvat y_tvat"


def embedded(networks: Networks, data: Any, subject: dict[str, str] | None = None, **settings: Any) -> PixelEmbedding:
    asked = TsneSettings(**{"n_pixels": PIXELS, "eps": EPS, "seed": SEED, "perplexity": 10.0} | settings)
    return tsne(networks, data, asked, subject=subject)


@pytest.fixture(scope="module")
def result(networks: Networks, blocks: Any) -> PixelEmbedding:
    return embedded(networks, blocks, subject={"run": "x"})


def place(pixels: pd.DataFrame, panel: str) -> np.ndarray:
    return pixels[[f"x_{panel}", f"y_{panel}"]].to_numpy()


def test_layout_and_placing_tell_how_far_they_are(
    networks: Networks, blocks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded(networks, blocks, n_pixels=20, perplexity=3.0)
    told = capsys.readouterr().err
    # Off a terminal, quick work is told once it is done: openTSNE's 750 iterations, and three times 1,000 at most.
    assert re.search(r"^lay out pixels 15/15, .*KL divergence [0-9.]+$", told, re.MULTILINE)
    assert re.search(r"^place pixels 120/120, ", told, re.MULTILINE)


def test_the_table_is_the_sample_with_places(networks: Networks, blocks: Any, result: PixelEmbedding) -> None:
    pixels = result.pixels
    assert " ".join(pixels) == COLUMNS
    assert len(pixels) == PIXELS
    assert pixels["label"].value_counts().tolist() == [PIXELS // 5] * 5
    assert not pixels.isna().any(axis=None)
    sample = sample_pixels(networks, blocks, TsneSettings(n_pixels=PIXELS, eps=EPS, seed=SEED))
    assert pixels["image"].tolist() == [blocks.ids("val")[image] for image in sample.image]
    for name in ("row", "col", "label"):
        assert np.array_equal(pixels[name], getattr(sample, name))
    for panel in ("clean", "vat", "tvat"):
        assert np.array_equal(pixels[f"pred_{panel}"], sample.prediction[panel])


def test_counts_that_are_told_are_those_of_the_table(result: PixelEmbedding) -> None:
    facts = result.measured
    for panel in ("clean", "vat", "tvat"):
        wrong = int((result.pixels[f"pred_{panel}"] != result.pixels["label"]).sum())
        assert facts["flipped"][panel] == wrong == result.flipped(panel).sum()
        assert facts["flip_rate"][panel] == wrong / PIXELS
    rows = [(row.pred_vat != row.label, row.pred_tvat != row.label) for row in result.pixels.itertuples()]
    assert facts["flipped_by"] == {
        "both": rows.count((True, True)),
        "vat_alone": rows.count((True, False)),
        "tvat_alone": rows.count((False, True)),
    }
    assert facts["flipped_by"] == {name: int(by.sum()) for name, by in result.flipped_by().items()}
    assert facts["flipped"]["clean"] == 0
    assert facts["flipped"]["vat"] > 0
    assert facts["flipped"]["tvat"] > 0


def test_what_was_asked_and_what_was_used(networks: Networks, result: PixelEmbedding) -> None:
    asked, used, measured = result.asked, result.used, result.measured
    assert (asked["n_pixels"], asked["eps"], asked["seed"], asked["layer"]) == (PIXELS, EPS, SEED, "z")
    assert result.subject == {"run": "x"}
    assert (asked["perplexity"], used["perplexity"]) == (10, 10)
    assert used["pca_dimensions"] == 24  # z's channels, fewer than 50
    assert measured["pca_variance"] == pytest.approx(1, abs=1e-4)
    assert asked["classes"] == []
    assert used["classes"] == [networks.classes[label] for label in sorted(set(result.pixels["label"]))]
    assert list(measured["correct_pixels"]) == list(networks.classes)


def test_flips_have_the_interval_over_images(result: PixelEmbedding) -> None:
    pixels, facts = result.pixels, result.measured
    for panel in ("vat", "tvat"):
        wrong = (pixels[f"pred_{panel}"] != pixels["label"]).groupby(pixels["image"]).sum().to_numpy(float)
        rate, low, high = share(wrong, pixels.groupby("image").size().to_numpy(float))
        assert facts["flip_rate_low"][panel] == pytest.approx(float(low), rel=1e-9)
        assert facts["flip_rate_high"][panel] == pytest.approx(float(high), rel=1e-9)
        assert facts["flip_rate_low"][panel] < rate < facts["flip_rate_high"][panel]


def test_pictures_of_the_images_that_the_pixels_come_from(blocks: Any, result: PixelEmbedding) -> None:
    assert sorted(result.images["image"]) == sorted(set(result.pixels["image"]))
    for row in result.images.itertuples():
        original = blocks.image(row.image)
        assert (row.height, row.width) == original.shape[:2]
        picture = np.asarray(Image.open(BytesIO(row.jpeg)))
        assert picture.shape == original.shape
        mirrored = original[:, ::-1]
        own, other = (np.abs(picture.astype(float) - each).mean() for each in (original, mirrored))
        assert own < 0.5 * other


def test_a_perplexity_too_large_for_the_pixels_is_lowered(networks: Networks, blocks: Any) -> None:
    found = embedded(networks, blocks, n_pixels=25, perplexity=30.0)
    assert (found.asked["perplexity"], found.used["perplexity"], found.facts["perplexity"]) == (30, 8, 8)


def test_neighbours_on_the_map_were_neighbours_before(networks: Networks, blocks: Any, result: PixelEmbedding) -> None:
    features = sample_pixels(networks, blocks, TsneSettings(n_pixels=PIXELS, eps=EPS, seed=SEED)).features["clean"]
    own = trustworthiness(features, place(result.pixels, "clean"), n_neighbors=15)
    assert result.measured["trustworthiness"] == pytest.approx(own, abs=5e-3)
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


def test_pixels_that_do_not_move_stay_where_they_were(networks: Networks, blocks: Any, result: PixelEmbedding) -> None:
    still = embedded(networks, blocks, eps=1e-4)
    moves = {}
    for name, found in (("still", still), ("moved", result)):
        clean = place(found.pixels, "clean")
        extent = np.ptp(clean, axis=0).max()
        for panel in ("vat", "tvat"):
            moved = float(np.median(np.linalg.norm(place(found.pixels, panel) - clean, axis=1)) / extent)
            moves[name, panel] = moved
            assert found.measured["median_move"][panel] == pytest.approx(moved, rel=1e-9)
    # The map is the same one, laid out before any perturbation.
    assert np.array_equal(place(still.pixels, "clean"), place(result.pixels, "clean"))
    for panel in ("vat", "tvat"):
        assert moves["still", panel] < 0.05
        assert moves["still", panel] == pytest.approx(still.measured["placement_error"], rel=0.25)
        assert still.measured["flipped"][panel] <= 1
    # Panels share an origin: at no eps may all points drift together.
    for panel in ("vat", "tvat"):
        drift = (place(still.pixels, panel) - place(still.pixels, "clean")).mean(axis=0)
        assert np.abs(drift).max() < 0.05 * np.ptp(place(still.pixels, "clean"), axis=0).max()


def test_equal_seeds_give_equal_frames_and_others_do_not(
    networks: Networks, blocks: Any, result: PixelEmbedding
) -> None:
    again = embedded(networks, blocks, subject={"run": "x"})
    pd.testing.assert_frame_equal(again.pixels, result.pixels, check_exact=True)
    assert (again.subject, again.asked, again.used) == (result.subject, result.asked, result.used)
    assert again.measured == result.measured
    assert set(again.seconds) == {"sampling", "layout", "measuring"}
    assert all(value > 0 for value in again.seconds.values())
    other = embedded(networks, blocks, seed=SEED + 1)
    assert not np.array_equal(place(other.pixels, "clean"), place(result.pixels, "clean"))


def test_a_joint_map_is_fitted_to_all_panels_at_once(networks: Networks, blocks: Any, result: PixelEmbedding) -> None:
    joint = embedded(networks, blocks, layout="joint")
    assert (joint.asked["layout"], result.asked["layout"]) == ("joint", "frozen")
    everything = np.concatenate([place(joint.pixels, panel) for panel in joint.panels])
    assert np.abs(everything.mean(axis=0)).max() < 1e-6 * np.ptp(everything)  # t-SNE centres what it fits
    assert not np.allclose(place(joint.pixels, "clean"), place(result.pixels, "clean"))
    # A pixel lies beside itself: its noise is small beside the distances between pixels.
    clean = place(joint.pixels, "clean")
    away = np.linalg.norm(place(joint.pixels, "vat") - clean, axis=1)
    assert np.median(away) < 0.1 * np.ptp(clean, axis=0).max()
    assert joint.measured["median_move"]["vat"] == pytest.approx(np.median(away) / np.ptp(clean, axis=0).max())
    assert "placement_error" not in joint.measured


def test_separate_maps_have_nothing_to_do_with_each_other(
    networks: Networks, blocks: Any, result: PixelEmbedding
) -> None:
    apart = embedded(networks, blocks, layout="separate")
    # The clean panel is fitted by itself in the frozen layout too.
    own, frozen = (place(found.pixels, "clean") for found in (apart, result))
    assert np.allclose(own - own.mean(axis=0), frozen - frozen.mean(axis=0), atol=1e-6)
    assert apart.measured["kl_divergence"] == result.measured["kl_divergence"]
    assert "median_move" not in apart.measured
    features = sample_pixels(networks, blocks, TsneSettings(n_pixels=PIXELS, eps=EPS, seed=SEED)).features["tvat"]
    assert trustworthiness(features, place(apart.pixels, "tvat"), n_neighbors=15) > 0.8


def test_approximate_neighbours_give_as_good_a_map(networks: Networks, blocks: Any, result: PixelEmbedding) -> None:
    approx = embedded(networks, blocks, neighbors="approx").facts
    assert approx["neighbors"] == "approx"
    assert approx["trustworthiness"] > result.measured["trustworthiness"] - 0.03


def test_the_map_is_as_trustworthy_as_by_the_defaults_of_opentsne(networks: Networks, blocks: Any) -> None:
    features = sample_pixels(networks, blocks, TsneSettings(n_pixels=500, eps=EPS, seed=SEED)).features
    ours, *_ = lay_out(features, TsneSettings(), seed=0)
    theirs = np.asarray(openTSNE.TSNE(random_state=0).fit(features["clean"]))
    quality = [map_quality(features["clean"], layout) for layout in (ours["clean"], theirs)]
    assert quality[0]["trustworthiness"] > quality[1]["trustworthiness"] - 0.005
    assert quality[0]["knn_recall"] > quality[1]["knn_recall"] - 0.02


def test_recall_of_neighbours_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(300, 8)).astype(np.float32)
    features[7] = features[8]  # two pixels of one feature
    layout = features[:, :2].astype(float) + rng.normal(0, 0.3, (300, 2))

    def nearest(values: np.ndarray) -> list[set[int]]:
        distances = np.linalg.norm(values[:, None].astype(float) - values[None].astype(float), axis=-1)
        np.fill_diagonal(distances, np.inf)
        return [set(row[:15].tolist()) for row in np.argsort(distances, axis=1)]

    expected = np.mean([len(a & b) / 15 for a, b in zip(nearest(features), nearest(layout), strict=True)])
    found = map_quality(features, layout)
    assert found["knn_recall"] == pytest.approx(expected, abs=1e-9)
    assert found["trustworthiness"] == pytest.approx(trustworthiness(features, layout, n_neighbors=15))
    assert map_quality(features, features[:, :2].astype(float))["knn_recall"] > found["knn_recall"]
    assert map_quality(layout.astype(np.float32), layout)["knn_recall"] > 0.99


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"perplexity": 0.5}, "--perplexity of 1 or more .*, got 0.5"),
        ({"perplexity": np.inf}, "--perplexity of 1 or more .*, got inf"),
        ({"jobs": 0}, "--jobs of 1 or more"),
    ],
)
def test_bad_settings(networks: Networks, blocks: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        embedded(networks, blocks, **settings)


class Network(nn.Module):
    """Somebody else's network, with a split point of its own; sides in multiples of 4."""

    multiple = 4

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body, self.head = nn.Conv2d(3, 10, 4, stride=4), nn.Conv2d(10, 6, 1)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(images))

    def decode(self, z: torch.Tensor, size: Any) -> torch.Tensor:
        return nn.functional.interpolate(self.head(z), size=tuple(size), mode="bilinear", align_corners=True)


def test_networks_that_were_not_trained_here(blocks: Any) -> None:
    roles = Networks(Network(0), [Network(1), Network(2)], classes=blocks.classes)
    guessed = {int(label) for id in blocks.ids("val") for label in np.unique(blocks.label(id)) if label != 255}
    assert guessed == set(range(6))
    found = embedded(roles, blocks, n_pixels=20, classes=_most_often_right(roles, blocks), perplexity=5.0)
    assert len(found.pixels) == 20
    with pytest.raises(UserError, match=r"module of the student, got 'decoder'; choose one, .* z, logits, body, head"):
        embedded(roles, blocks, layer="decoder")
    with pytest.raises(UserError, match=r"got tvat; .* it needs teachers"):
        embedded(Networks(Network(0), classes=blocks.classes), blocks, n_pixels=20, panels=("vat", "tvat"))


def _most_often_right(roles: Networks, data: Any) -> tuple[str, ...]:
    right = np.zeros(6, int)
    for images in labeled_images(data, data.ids("val"), batch=1):
        with torch.no_grad():
            logits = decode_whole(roles.student.decode, encode_whole(roles, images.images), images.size, multiple=4)
        hit = logits.argmax(dim=1) == images.labels
        right += np.bincount(images.labels[hit].numpy(), minlength=6)
    return (data.classes[int(right.argmax())],)
