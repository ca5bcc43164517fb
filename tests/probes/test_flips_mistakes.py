"""What the perturbation probe refuses, each with a way out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psmt_viz import load_run
from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS
from psmt_viz.models.networks import Networks
from psmt_viz.probes.perturb import perturb
from tests.probes.flips_reference import foreign


@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan])
def test_an_eps_without_a_size_is_refused(networks: Networks, blocks: Any, eps: float) -> None:
    with pytest.raises(UserError, match="eps above 0"):
        perturb(networks, blocks, eps=(2.0, eps), kinds=("vat",), ids=blocks.ids("val")[:1])


def test_unknown_kinds_and_judges_are_refused(networks: Networks, blocks: Any) -> None:
    with pytest.raises(UserError, match=r"kinds among vat, tvat, .*, cutout, got vta; choose"):
        perturb(networks, blocks, kinds=("vat", "vta"))
    with pytest.raises(UserError, match=r"judges among student, teacher1, teacher2, ensemble, got teacher; choose"):
        perturb(networks, blocks, judges=("student", "teacher"))
    with pytest.raises(UserError, match="at least 1 validation image, got none"):
        perturb(networks, blocks, ids=())


def test_a_student_alone_has_no_teachers_kinds_nor_judges(supervised_run: Path, blocks: Any) -> None:
    alone = load_run(supervised_run)
    found = perturb(alone, blocks, eps=(2.0,), ids=blocks.ids("val")[:2])
    there = [name for name, kind in KINDS.items() if kind.maker in (None, "student")]
    assert list(dict.fromkeys(found.flips["kind"])) == list(found.health) == found.used["kinds"] == there
    assert set(found.flips["judge"]) == {"student"} == set(found.used["judges"])
    assert found.used["left_out"] == [name for name in KINDS if name not in there]
    with pytest.raises(UserError, match=r"kinds among vat, pgd, random, .*, got tvat"):
        perturb(alone, blocks, kinds=("tvat",))
    with pytest.raises(UserError, match=r"judges among student, got ensemble"):
        perturb(alone, blocks, judges=("ensemble",))


def test_no_correct_pixel_is_an_error_that_says_so(networks: Networks, blocks: Any) -> None:
    class Void:
        """The same images, all void."""

        classes = blocks.classes
        ids, image = blocks.ids, blocks.image

        @staticmethod
        def label(id: str) -> np.ndarray:
            return np.full_like(blocks.label(id), 255)

    with pytest.raises(UserError, match="pixels that student predicts correctly, got none"):
        perturb(networks, Void(), eps=(2.0,), kinds=("random",), ids=blocks.ids("val")[:2])


def test_networks_on_two_devices_are_refused(psmt_run: Path, blocks: Any) -> None:
    torn = load_run(psmt_run)
    torn.teachers["teacher2"].classifier.to("meta")
    with pytest.raises(UserError, match=r"all networks on one device, got cpu, meta; .*\.to\(device\)"):
        perturb(torn, blocks, eps=(2.0,), kinds=("random",), judges=("student",), ids=blocks.ids("val")[:1])


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
        next(getattr(broken.by_role()[network], part).parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"NaN|finite"):
        perturb(broken, blocks, eps=(2.0,), kinds=(kind,), ids=blocks.ids("val")[:1])


@pytest.mark.parametrize("kind", ["vat", "random"])
@pytest.mark.parametrize("classes", [(4,), (9,), (6, 7), (6, 6, 5)])
def test_logits_of_another_number_of_classes_are_refused(blocks: Any, classes: tuple[int, ...], kind: str) -> None:
    with pytest.raises(UserError, match="classes"):
        perturb(foreign(*classes), blocks, eps=(2.0,), kinds=(kind,), ids=blocks.ids("val")[:2])
