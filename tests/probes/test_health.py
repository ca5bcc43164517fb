"""The words for searches that went wrong, and none for those that did not."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from psmt_viz.models import Networks
from psmt_viz.models.inference import encode_whole
from psmt_viz.perturb import SearchSettings
from psmt_viz.probes.health import HealthRecord, warnings_of
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.kinds import perturbation


def spread(low: float, high: float) -> dict[str, float]:
    return {"min": low, "mean": (low + high) / 2, "max": high}


SOUND = {"norm_over_eps": spread(0.9999, 1), "unchanged": spread(0, 1e-3), "cosine": spread(0.999, 1)}


def test_a_sound_search_has_no_warning() -> None:
    assert warnings_of(SOUND, SearchSettings()) == []
    assert warnings_of({"norm_over_eps": spread(1, 1)}, SearchSettings()) == []  # searches nothing


@pytest.mark.parametrize(
    ("measure", "values", "norm", "expected"),
    [
        ("norm_over_eps", spread(0.2, 0.4), "image", "norm 0.6 of 2: the denominator's floor outweighs the gradient"),
        ("norm_over_eps", spread(0.7, 0.9), "pixel", "norm 1.6 of 2: some pixels hardly change"),
        (
            "unchanged",
            spread(0.2, 0.4),
            "image",
            "the search's step leaves 30 % of the features unchanged, lost to rounding",
        ),
        ("cosine", spread(-0.25, 0.5), "image", "direction far from the exact one: cosine -0.25 to 0.50"),
        # One image is enough for a doubt, however well the others do.
        ("cosine", spread(0.975, 1), "image", "direction far from the exact one: cosine 0.97 to 1.00"),
    ],
)
def test_each_ill_is_told_in_words(measure: str, values: dict[str, float], norm: Any, expected: str) -> None:
    assert warnings_of(SOUND | {measure: values}, SearchSettings(norm=norm)) == [expected]


def test_all_ills_are_told() -> None:
    ill = {"norm_over_eps": spread(0.5, 0.5), "unchanged": spread(1, 1), "cosine": spread(0, 0)}
    assert len(warnings_of(ill, SearchSettings())) == 3


def recorded(
    networks: Networks,
    data: Any,
    kinds: tuple[str, ...],
    *,
    images: int,
    eps: float = 2.0,
    settings: SearchSettings | None = None,
) -> dict[str, Any]:
    settings = settings or SearchSettings()
    record = HealthRecord(networks, kinds, settings)
    for image in labeled_images(data, data.ids("val")[:images], batch=1):
        with torch.no_grad():
            z = encode_whole(networks.student, image.images)
        for kind in kinds:
            found = perturbation(networks, kind, z, image.size, image_id=image.ids[0], eps=eps, settings=settings)
            record.add(kind, found, z, image.size, image.labels, eps=eps)
    return record.summary()


def test_the_reference_is_asked_on_three_images_and_the_rest_on_all(networks: Networks, blocks: Any) -> None:
    before = copy.deepcopy(networks.state_dict())
    health = recorded(networks, blocks, ("vat", "pgd", "random", "tvat-official"), images=5, eps=0.7)
    assert {kind: set(numbers) - {"warnings"} for kind, numbers in health.items()} == {
        "vat": {"norm_over_eps", "unchanged", "cosine"},
        "pgd": {"norm_over_eps", "gain"},
        "random": {"norm_over_eps"},
        "tvat-official": {"norm_over_eps", "unchanged", "cosine"},
    }
    for kind, numbers in health.items():
        ill = kind == "tvat-official"
        assert bool(numbers.pop("warnings")) == ill
        for measure, values in numbers.items():
            assert values["images"] == (3 if measure == "cosine" else 5)
            assert values["min"] <= values["mean"] + 1e-12 and values["mean"] <= values["max"] + 1e-12
        largest = numbers["norm_over_eps"]["max"]
        assert largest < 0.01 if ill else largest == pytest.approx(1, rel=1e-5)
    assert health["pgd"]["gain"]["min"] >= 1
    for key, value in networks.state_dict().items():
        assert value.dtype == before[key].dtype and torch.equal(value, before[key])


@pytest.mark.parametrize("batch", [1, 8])
def test_the_published_search_is_told_to_be_next_to_nothing(networks: Networks, blocks: Any, batch: int) -> None:
    health = recorded(
        networks, blocks, ("tvat", "tvat-official"), images=2, settings=SearchSettings(official_batch=batch)
    )
    assert health["tvat"]["norm_over_eps"]["min"] == pytest.approx(1, rel=1e-5)
    assert health["tvat"]["warnings"] == []
    official = health["tvat-official"]
    (told,) = [text for text in official["warnings"] if "the denominator's floor outweighs the gradient" in text]
    norm = float(told.removeprefix("norm ").partition(" of 2: ")[0])
    assert norm == pytest.approx(2 * official["norm_over_eps"]["mean"], rel=5e-3)
    assert norm < 0.01


def test_a_perturbation_of_nothing_has_no_direction(networks: Networks, blocks: Any) -> None:
    record = HealthRecord(networks, ["tvat-official"], SearchSettings())
    (image,) = labeled_images(blocks, blocks.ids("val")[:1], batch=1)
    with torch.no_grad():
        z = encode_whole(networks.student, image.images)
    found = perturbation(networks, "tvat-official", z, image.size, image_id=image.ids[0])
    nothing = replace(found, delta=0 * found.delta, health=replace(found.health, norm=0 * found.health.norm))
    record.add("tvat-official", nothing, z, image.size, image.labels, eps=2.0)
    assert set(record.summary()["tvat-official"]) == {"norm_over_eps", "unchanged", "warnings"}
