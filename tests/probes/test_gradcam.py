"""Grad-CAM maps against the textbook's two equations, written out with plain autograd in float64."""

import copy
import json
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted, Networks
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.probes.cam_faithfulness import faithfulness
from psmt_viz.probes.cam_methods import METHODS
from psmt_viz.probes.kinds import perturbation
from psmt_viz.results import Cam, Cams
from psmt_viz.seeds import derived_seed
from tests.probes.asking import mapped

EPS = 4.0


SEED = 2


@pytest.fixture(scope="module")
def result(networks: Networks, blocks: Any) -> Cams:
    return mapped(networks, blocks, images=3, eps=EPS, seed=SEED, subject={"run": "x"})


def stretched(values: Tensor, size: Any) -> Tensor:
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=True)


def multiples_of_8(size: Any) -> list[int]:
    return [8 * math.ceil(length / 8) for length in size]


def z_of(networks: Networks, image: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(image[None].copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return networks.student.encode(stretched(pixels, multiples_of_8(image.shape[:2])))


def deltas_of(networks: Networks, cam: Cam) -> dict[str, Tensor]:
    z, size = z_of(networks, cam.image), cam.image.shape[:2]
    made = {
        kind: perturbation(networks, kind, z, size, image_id=cam.image_id, eps=EPS, seed=SEED).delta
        for kind in ("vat", "tvat")
    }
    return {"clean": torch.zeros_like(z), **made}


def textbook(student: DeepLabV3Plus, cam: Cam, delta: Tensor, target: int, layer: str) -> np.ndarray:
    """Equations 1 and 2: channel weights are mean gradients of the score; the map is the ReLU of their sum.

    The network is written out from its parts, in float64, so that the layer can be taken without a hook.
    """
    net, size = copy.deepcopy(student).double().eval(), cam.image.shape[:2]
    pixels = torch.from_numpy(cam.image[None].copy()).permute(0, 3, 1, 2).double() / 255
    low, high = net.backbone(stretched(pixels, multiples_of_8(size)))
    context = net.aspp(high)
    if layer == "aspp":
        context = leaf = context.detach().requires_grad_()
    z = torch.cat([stretched(context, low.shape[-2:]), net.reduce(low)], dim=1) + delta.double()
    if layer == "z":
        z = leaf = z.detach().requires_grad_()
    decoded = net.decoder(z)
    if layer == "decoder":
        decoded = leaf = decoded.detach().requires_grad_()
    logits = stretched(stretched(net.classifier(decoded), multiples_of_8(size)), size)[0]
    score = logits[target][torch.from_numpy(cam.prediction == target)].sum()
    (gradient,) = torch.autograd.grad(score, leaf)
    small = (gradient.mean(dim=(2, 3), keepdim=True) * leaf).sum(dim=1, keepdim=True).clamp(min=0)
    return stretched(small, size)[0, 0].detach().numpy()


@pytest.mark.parametrize("layer", ["z", "decoder", "aspp"])
def test_maps_are_the_textbooks_before_and_after_each_perturbation(
    networks: Networks, blocks: Any, result: Cams, layer: str
) -> None:
    found = result if layer == "z" else mapped(networks, blocks, images=3, eps=EPS, seed=SEED, layer=layer)
    assert len({cam.image.shape for cam in found.cams}) > 1
    for cam, first in zip(found.cams, result.cams, strict=True):
        assert cam.image_id == first.image_id
        target = networks.classes.index(cam.class_name)
        with torch.no_grad():
            size = cam.image.shape[:2]
            logits = stretched(networks.student.decode(z_of(networks, cam.image), multiples_of_8(size)), size)
        assert np.array_equal(cam.prediction, logits[0].argmax(dim=0).numpy())
        for name, delta in deltas_of(networks, cam).items():
            own = cam.maps[name]
            expected = textbook(networks.student, cam, delta, target, layer)
            assert own.dtype == np.float32
            assert own.shape == size
            assert np.abs(own - expected).max() <= 1e-5 * max(expected.max(), 1e-2)
    assert sum(cam.maps["clean"].max() > 0.1 for cam in found.cams) >= 2
    assert any(not np.allclose(cam.maps["clean"], cam.maps["vat"], rtol=1e-3) for cam in found.cams)
    assert any(not np.allclose(cam.maps["vat"], cam.maps["tvat"], rtol=1e-3) for cam in found.cams)


@pytest.mark.parametrize("layer", ["backbone.body.layer2", "backbone.body.bn1", "reduce", "z", "decoder"])
def test_activations_before_z_do_not_feel_the_perturbation(networks: Networks, blocks: Any, layer: str) -> None:
    """EigenCAM asks for activations alone."""
    for cam in mapped(networks, blocks, images=2, eps=EPS, seed=SEED, method="eigencam", layer=layer).cams:
        assert cam.maps["clean"].max() > 0
        same = [np.array_equal(cam.maps["clean"], values) for values in (cam.maps["vat"], cam.maps["tvat"])]
        assert same == [layer not in ("z", "decoder")] * 2


@pytest.mark.parametrize("method", METHODS)
def test_every_method_maps_every_image(networks: Networks, blocks: Any, method: str, result: Cams) -> None:
    found = mapped(networks, blocks, images=1, eps=EPS, seed=SEED, method=method)
    cam, first = found.cams[0], result.cams[0]
    assert (cam.image_id, cam.class_name) == (first.image_id, first.class_name)
    assert np.array_equal(cam.prediction, first.prediction)
    assert found.asked["cam_method"] == method
    for name in cam.maps:
        values = cam.maps[name]
        assert values.dtype == np.float32
        assert values.shape == cam.truth.shape
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert np.ptp(values) > 0
    assert np.isfinite(found.table.drop(columns=["image", "class"]).to_numpy(float)).all()
    if method not in ("gradcam", "shapleycam"):
        assert not np.allclose(
            cam.maps["clean"] / cam.maps["clean"].max(), first.maps["clean"] / first.maps["clean"].max(), atol=1e-3
        )
    assert not np.array_equal(cam.maps["clean"], cam.maps["vat"])


def test_maps_are_raw_and_share_one_unit(result: Cams) -> None:
    peaks = [float(cam.maps[name].max()) for cam in result.cams for name in cam.maps]
    assert all(cam.maps[name].min() >= 0 for cam in result.cams for name in cam.maps)
    assert len({round(peak, 3) for peak in peaks}) > 1  # normalised maps would all peak at 1


def test_image_truth_and_target_are_those_of_the_data(networks: Networks, blocks: Any, result: Cams) -> None:
    for cam in result.cams:
        label = blocks.label(cam.image_id)
        assert np.array_equal(cam.image, blocks.image(cam.image_id))
        assert np.array_equal(cam.truth, label)
        sizes = {name: int((label == i).sum()) for i, name in enumerate(networks.classes) if name != "background"}
        assert cam.class_name == max(sizes, key=lambda name: sizes[name])
        target = networks.classes.index(cam.class_name)
        assert ((label == target) & (cam.prediction == target)).mean() >= 0.01


def test_the_table_sums_the_maps_up(networks: Networks, result: Cams) -> None:
    panels = ("clean", "vat", "tvat")
    whats = [("mass", panels), ("inside", panels), ("change", panels[1:]), ("moved", panels[1:])]
    columns = [f"{what}_{name}" for what, names in [*whats, ("faithfulness", panels)] for name in names]
    assert list(result.table) == ["image", "class", *columns]
    for row, cam in zip(result.table.to_dict("records"), result.cams, strict=True):
        assert (row["image"], row["class"]) == (cam.image_id, cam.class_name)
        target = networks.classes.index(cam.class_name)
        masses = {}
        for name in cam.maps:
            total = inside = moved = 0.0
            for value, before, truth in zip(cam.maps[name].flat, cam.maps["clean"].flat, cam.truth.flat, strict=True):
                total += float(value)
                inside += float(value) * (truth == target)
                moved += abs(float(value) - float(before))
            masses[name] = total
            assert row[f"mass_{name}"] == pytest.approx(total, rel=1e-9)
            assert row[f"inside_{name}"] == pytest.approx(inside / total, rel=1e-9)
            if name != "clean":
                assert row[f"moved_{name}"] == pytest.approx(moved / masses["clean"], rel=1e-9)
                assert row[f"change_{name}"] == pytest.approx((total - masses["clean"]) / masses["clean"], abs=1e-9)
                assert row[f"moved_{name}"] >= abs(row[f"change_{name}"])


def test_faithfulness_is_that_of_the_network_with_its_perturbation(networks: Networks, result: Cams) -> None:
    def probability(images: Tensor, cam: Cam, delta: Tensor) -> Tensor:
        size, target = cam.image.shape[:2], networks.classes.index(cam.class_name)
        z = networks.student.encode(stretched(images, multiples_of_8(size))) + delta
        logits = stretched(networks.student.decode(z, multiples_of_8(size)), size)
        return logits.softmax(dim=1)[:, target, torch.from_numpy(cam.prediction == target)].mean(dim=1)

    for row, cam in zip(result.table.to_dict("records"), result.cams, strict=True):
        image = torch.from_numpy(cam.image.copy()).permute(2, 0, 1).float() / 255
        seed = derived_seed(SEED, "cam", cam.image_id)
        for name, delta in deltas_of(networks, cam).items():
            own = partial(probability, cam=cam, delta=delta)
            expected = faithfulness(own, image, cam.maps[name], seed=seed)
            assert row[f"faithfulness_{name}"] == pytest.approx(expected, abs=1e-5)
        assert len({row[f"faithfulness_{name}"] for name in cam.maps}) > 1


def test_facts_say_what_was_asked_and_used(networks: Networks, result: Cams) -> None:
    norms = [EPS / float(z_of(networks, cam.image).double().norm()) for cam in result.cams]
    assert result.measured == {"relative_norm": pytest.approx(np.mean(norms), rel=1e-4)}
    wanted = {"images": 3, "target_class": None, "eps": EPS, "seed": SEED, "layer": "z", "cam_method": "gradcam"}
    wanted["panels"] = []
    assert (result.asked, result.subject) == (wanted, {"run": "x"})
    assert result.used["faithfulness_shares"] == [0.2, 0.5, 0.8]
    assert "1 %" in result.used["rule"]
    json.dumps([result.asked, result.used, result.measured], allow_nan=False)


class ByColour(nn.Module):
    """Sees a class by its colour: a place's logits are minus the squared distances, less what all classes share."""

    def __init__(self, colours: np.ndarray) -> None:
        super().__init__()
        weight = torch.from_numpy(colours).float()
        self.head = nn.Conv2d(3, len(weight), 1)
        self.head.weight.data, self.head.bias.data = 2 * weight[:, :, None, None], -(weight**2).sum(dim=1)

    def encode(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 4)

    def decode(self, z: Tensor, size: Any) -> Tensor:
        assert tuple(size) == tuple(4 * length for length in z.shape[-2:])  # what was encoded
        return F.interpolate(self.head(z), size=tuple(size), mode="bilinear", align_corners=True)


def test_foreign_networks_need_nothing_but_a_split_point(blocks: Any) -> None:
    """Bilinear weights of a pixel sum to 1, so a channel's mean gradient is |mask| / places times 2 colour."""
    image, label = (np.concatenate([read(id).reshape(-1, *read(id).shape[2:]) for id in blocks.ids("train")])
                    for read in (blocks.image, blocks.label))  # fmt: skip
    colours = np.stack([image[label == index].mean(axis=0) / 255 for index in range(len(blocks.classes))])
    student, *teachers = (Adapted(ByColour(colours + shift), multiple=16) for shift in (0, 0.02, -0.02))
    roles = Networks(student, teachers, classes=blocks.classes)
    found = mapped(roles, blocks, images=3, eps=0.5, seed=SEED)
    assert any(cam.image.shape[0] == 56 for cam in found.cams)  # to 64, where others would go to 56
    for cam in found.cams:
        size, target = cam.image.shape[:2], blocks.classes.index(cam.class_name)
        pixels = torch.from_numpy(cam.image[None].copy()).permute(0, 3, 1, 2).double() / 255
        z = F.avg_pool2d(stretched(pixels, [16 * math.ceil(length / 16) for length in size]), 4)
        share = (cam.prediction == target).sum() / z[0, 0].numel()
        colour = torch.from_numpy(colours[target])[None, :, None, None]
        expected = stretched(2 * share * (colour * z).sum(dim=1, keepdim=True), size)[0, 0].numpy()
        np.testing.assert_allclose(cam.maps["clean"], expected, rtol=1e-5)
        assert not np.allclose(cam.maps["vat"], expected, rtol=1e-4)
    with pytest.raises(UserError, match="--layer z, logits or a module of the student, got 'decoder'"):
        mapped(roles, blocks, images=1, layer="decoder")
    assert mapped(roles, blocks, images=1, eps=0.5, layer="head").asked["layer"] == "head"
