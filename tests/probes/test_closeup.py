"""One image under every kind: what is kept of it, against a direct computation and against `flips`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import SearchSettings, adversarial_perturbation, frozen
from psmt_viz.probes.closeup import closeup
from psmt_viz.probes.perturb import perturb
from psmt_viz.results import CloseUp
from psmt_viz.seeds import derived_seed

ID, SEED, EPS = "val00", 5, 3.3  # 48 x 64, so that nothing is resized
ODD = "val02"  # 45 x 61


@pytest.fixture(scope="module")
def result(networks: Networks, blocks: Any) -> CloseUp:
    return closeup(networks, blocks, ID, eps=EPS, seed=SEED, subject={"run": "x"})


def test_equals_a_direct_computation(networks: Networks, blocks: Any, result: CloseUp) -> None:
    size = (48, 64)
    np.testing.assert_array_equal(result.image, blocks.image(ID))
    np.testing.assert_array_equal(result.truth, blocks.label(ID))
    images = torch.from_numpy(blocks.image(ID)[None].copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        z = networks.student.encode(images)
        prediction = networks.student.decode(z, size).argmax(dim=1)[0].numpy()
    np.testing.assert_array_equal(result.prediction, prediction)
    makers: dict[str, Any] = {
        "vat": networks.student.decode,
        "teacher1": networks.teachers["teacher1"].decode,
        "teacher2": networks.teachers["teacher2"].decode,
        "tvat": lambda z, size: sum(teacher.decode(z, size) for teacher in networks.teachers.values()) / 2,
    }
    for kind, decode in makers.items():
        generator = torch.Generator().manual_seed(derived_seed(SEED, "noise", ID))
        with frozen(networks):
            predict = lambda values, decode=decode: decode(values, size)  # noqa: E731
            delta = adversarial_perturbation(predict, z, eps=EPS, generator=generator).delta
        with torch.no_grad():
            moved = networks.student.decode(z + delta, size).argmax(dim=1)[0].numpy()
        np.testing.assert_array_equal(result.moved[kind], moved)
        flipped = (prediction == blocks.label(ID)) & (moved != blocks.label(ID))
        np.testing.assert_array_equal(result.flipped(kind), flipped)
        assert flipped.any()
        lengths = delta[0].double().square().sum(dim=0).sqrt()
        np.testing.assert_allclose(result.magnitude[kind], lengths, rtol=1e-5, atol=1e-7)
        assert result.measured["relative_norm_by_kind"][kind] == pytest.approx(float(delta.norm() / z.norm()), rel=1e-5)
    assert len({result.moved[kind].tobytes() for kind in makers}) == len(makers)


def test_every_kind_of_equal_norm_in_one_order(networks: Networks, result: CloseUp) -> None:
    assert tuple(result.moved) == tuple(result.magnitude) == tuple(KINDS)
    assert result.classes == tuple(networks.classes)
    for kind in KINDS:
        assert result.moved[kind].dtype == np.uint8 and result.moved[kind].shape == (48, 64)
        whole = np.sqrt(np.square(result.magnitude[kind], dtype=np.float64).sum())
        if kind == "tvat-official":  # whose floor leaves next to nothing of it
            assert 0 < whole < 0.01 * EPS
        else:
            assert whole == pytest.approx(EPS, rel=1e-5)
    facts = {"eps": EPS, "judge": "student", "seed": SEED, "norm": "image", "search": "finite-difference"}
    assert facts.items() <= result.asked.items()
    assert result.subject == {"run": "x"}
    norms = result.measured["relative_norm_by_kind"]
    assert result.measured["relative_norm"] == np.median(list(norms.values())) == pytest.approx(norms["vat"], rel=1e-5)


@pytest.mark.parametrize(("id", "judge"), [(ID, "student"), (ODD, "ensemble")])
def test_perturbs_as_flips_does_with_the_same_seed(networks: Networks, blocks: Any, id: str, judge: str) -> None:
    seen = closeup(networks, blocks, id, eps=EPS, judge=judge, seed=SEED)
    rows = perturb(networks, blocks, eps=(EPS,), judges=(judge,), ids=(id,), seed=SEED).flips
    rows = rows[rows["norm"] == "image"].set_index("kind")
    assert tuple(rows.index) == tuple(KINDS)
    assert {kind: seen.flipped(kind).sum() for kind in KINDS} == rows["flipped_pixels"].to_dict()
    assert (seen.prediction == seen.truth).sum() == rows["correct_pixels"].iloc[0]
    assert seen.measured["relative_norm_by_kind"] == pytest.approx(rows["relative_norm"].to_dict(), rel=1e-6)
    other = closeup(networks, blocks, id, eps=EPS, judge=judge, seed=SEED + 1, kinds=("random",))
    assert not np.array_equal(other.magnitude["random"], seen.magnitude["random"])


def test_settings_reach_the_search(networks: Networks, blocks: Any, result: CloseUp) -> None:
    found = closeup(networks, blocks, ID, eps=EPS, kinds=("vat",), seed=SEED, settings=SearchSettings(norm="pixel"))
    np.testing.assert_allclose(found.magnitude["vat"], EPS, rtol=1e-5)
    assert found.asked["norm"] == "pixel"
    labelled = closeup(
        networks, blocks, ID, eps=EPS, kinds=("vat",), seed=SEED, settings=SearchSettings(objective="cross-entropy")
    )
    assert labelled.flipped("vat").sum() > result.flipped("vat").sum()


def test_comes_back_from_files(tmp_path: Path, result: CloseUp) -> None:
    result.save(tmp_path)
    again = CloseUp.load(tmp_path)
    assert tuple(again.moved) == tuple(KINDS) and again.facts == result.facts
    for kind in KINDS:
        np.testing.assert_array_equal(again.flipped(kind), result.flipped(kind))
        np.testing.assert_array_equal(again.magnitude[kind], result.magnitude[kind])


def test_what_is_not_there_is_refused(networks: Networks, supervised_run: Path, blocks: Any) -> None:
    for id in ("val99", "train00"):
        with pytest.raises(UserError, match=rf"a validation image of blocks, such as val00, val01, val02, got '{id}'"):
            closeup(networks, blocks, id)
    with pytest.raises(UserError, match="judges among student, teacher1, teacher2, ensemble, got teacher"):
        closeup(networks, blocks, ID, kinds=("random",), judge="teacher")
    with pytest.raises(UserError, match=r"kinds among vat, pgd, .*got tvat"):
        closeup(load_run(supervised_run), blocks, ID, kinds=("tvat",))
    with pytest.raises(UserError, match="eps above 0"):
        closeup(networks, blocks, ID, eps=0.0)


def test_an_unknown_kind_is_refused(networks: Networks, blocks: Any) -> None:
    with pytest.raises(UserError, match=r"kinds among vat, .*got vta"):
        closeup(networks, blocks, ID, kinds=("vta",))
