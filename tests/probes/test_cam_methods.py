"""The methods against a network so small that its maps are worked out on paper, and against the library's parts."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection, get_2d_projection_with_sign_correction
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import frozen
from psmt_viz.probes import cam_methods
from psmt_viz.probes.cam_layers import explained
from psmt_viz.probes.cam_methods import METHODS, check_method, raw_map

# On paper. Blocks of 2 x 2 pixels with colour (r, g, b) give z = (r, g - b), of 2 x 2 places:
Z0 = np.array([[0.2, 0.8], [0.4, 0.6]])
Z1 = np.array([[0.8, -0.4], [0.3, -0.6]])
GREEN, BLUE = np.array([[0.9, 0.1], [0.5, 0.3]]), np.array([[0.1, 0.5], [0.2, 0.9]])
# The target's logit is 2 z0 - z1 at a place, and between two places, bilinearly with aligned corners, ...
UP = np.array([[1, 0], [2 / 3, 1 / 3], [1 / 3, 2 / 3], [0, 1]])
# ... so that over the two left columns of pixels the places count 2 * (5/3) = 10/3 and 2 * (1/3) = 2/3 times:
SHARE = np.array([[10 / 3, 2 / 3], [10 / 3, 2 / 3]])
MASK = np.array([[True, True, False, False]] * 4)
# The score is sum(SHARE * (2 z0 - z1)) = 2 * 2.93333 - 3.
SCORE = 2 * 44 / 15 - 3
ON_PAPER = {
    # Channel weights are the means of 2 SHARE and of -SHARE, 4 and -2.
    "gradcam": 4 * Z0 - 2 * Z1,
    # The network is linear, so the Hessian adds nothing.
    "shapleycam": 4 * Z0 - 2 * Z1,
    "hirescam": SHARE * (2 * Z0 - Z1),
    # Weights sum(gradient * z) / sum(z): 88/15 over 2.0 and -3 over 0.1.
    "xgradcam": 44 / 15 * Z0 - 30 * Z1,
    # Only the first channel's gradient is positive.
    "layercam": SHARE * 2 * Z0,
    # Of each channel the positive products; the second channel's gradient is negative.
    "gradcamelementwise": SHARE * (2 * Z0 + np.array([[0, 0.4], [0, 0.6]])),
    # Without channel 0 the score is -3, without channel 1 it is 88/15.
    "ablationcam": (SCORE + 3) / SCORE * Z0 + (SCORE - 88 / 15) / SCORE * Z1,
}


class Paper(nn.Module):
    """Mean over 2 x 2 pixels, 1x1 convolution, and the decoder's 1x1 convolution and bilinear stretch."""

    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 3, 1, bias=False)
        self.mix.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, -1]])[:, :, None, None]
        self.head.weight.data = torch.tensor([[0.3, 0.5], [2.0, -1.0], [-1.0, 0.7]])[:, :, None, None]

    def encode(self, images: Tensor) -> Tensor:
        return self.mix(F.avg_pool2d(images, 2))

    def decode(self, z: Tensor, size: Any) -> Tensor:
        return F.interpolate(self.head(z), size=tuple(size), mode="bilinear", align_corners=True)


def paper_image() -> Tensor:
    blocks = np.stack([Z0, GREEN, BLUE])
    return torch.from_numpy(np.kron(blocks, np.ones((1, 2, 2)))[None]).float()


def on_paper(method: str, delta: Tensor | None = None, layer: str = "z", mask: Any = MASK) -> np.ndarray:
    network = Adapted(Paper(), multiple=2)
    with frozen(network), explained(network, layer) as model:
        if delta is not None:
            model.delta = delta
        return raw_map(model, paper_image(), method=method, target=1, mask=mask)


@pytest.mark.parametrize("method", ON_PAPER)
def test_maps_are_those_worked_out_on_paper(method: str) -> None:
    expected = UP @ np.maximum(ON_PAPER[method], 0) @ UP.T
    assert (expected > 0).any()
    assert (expected[:, 0] == 0).sum() < 4 or (expected == 0).any()
    np.testing.assert_allclose(on_paper(method), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "ablationcam"])
def test_a_perturbation_is_added_to_z(method: str) -> None:
    delta = torch.tensor([[[[0.1, -0.3], [0.2, 0.0]], [[-0.5, 0.2], [0.0, 0.4]]]])
    z0, z1 = (z + part.numpy() for z, part in zip((Z0, Z1), delta[0], strict=True))
    first, second = (SHARE * 2 * z0).sum(), (SHARE * -z1).sum()
    expected = {
        "gradcam": 4 * z0 - 2 * z1,
        "hirescam": SHARE * (2 * z0 - z1),
        "ablationcam": (first * z0 + second * z1) / (first + second),
    }[method]
    np.testing.assert_allclose(on_paper(method, delta), UP @ np.maximum(expected, 0) @ UP.T, rtol=2e-5, atol=1e-6)


def test_score_cam_weighs_masked_images_by_their_mean_logits() -> None:
    image = paper_image()[0].double().numpy()
    scores = []
    for z in (Z0, Z1):
        stretched = UP @ z @ UP.T
        masked = image * (stretched - stretched.min()) / np.ptp(stretched)
        red, green, blue = masked.reshape(3, 2, 2, 2, 2).mean(axis=(2, 4))
        logit = UP @ (2 * red - (green - blue)) @ UP.T
        scores.append(logit[MASK].mean())
    weights = np.exp(scores) / np.exp(scores).sum()
    assert abs(weights[0] - weights[1]) > 0.02
    expected = UP @ np.maximum(weights[0] * Z0 + weights[1] * Z1, 0) @ UP.T
    np.testing.assert_allclose(on_paper("scorecam"), expected, rtol=1e-5, atol=1e-6)


def test_logits_are_a_layer_too() -> None:
    """Channel weights are |mask| / 16 for the target and 0 for the others, so the map is half the target's logits."""
    expected = 0.5 * np.maximum(UP @ (2 * Z0 - Z1) @ UP.T, 0)
    np.testing.assert_allclose(on_paper("gradcam", layer="logits"), expected, rtol=2e-6, atol=1e-6)


def test_modules_are_found_by_the_names_of_the_network_inside() -> None:
    """The head's output has stride 2: weights are 1/4 of 8 pixels for the target, and the map is of places."""
    expected = UP @ np.maximum(2 * (2 * Z0 - Z1), 0) @ UP.T
    np.testing.assert_allclose(on_paper("gradcam", layer="head"), expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(on_paper("gradcam", layer="mix"), on_paper("gradcam"), rtol=1e-6)


def seen_at(networks: Networks, image: Any, layer: str, method: str, target: int = 1) -> tuple[np.ndarray, ...]:
    """Activations, gradients and map of one image at a layer."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    mask = np.zeros(image.shape[:2], bool)
    mask[10:30, 20:40] = True
    with frozen(networks), explained(networks.student, layer) as model:
        cam = METHODS[method](model=model, target_layers=[model.seen])
        hooks = cam.activations_and_grads
        pixels.requires_grad_()
        hooks(pixels)[0, target][torch.from_numpy(mask)].sum().backward()
        kept = [hooks.activations[0].detach().numpy(), hooks.gradients[0].detach().numpy()]
        hooks.release()
        found = raw_map(model, pixels.detach(), method=method, target=target, mask=mask, seed=3)
    return *kept, found, mask


def stretched(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    whole = F.interpolate(torch.from_numpy(values)[None].double(), size=size, mode="bilinear", align_corners=True)
    return whole[0, 0].numpy()


@pytest.mark.parametrize("method", ["eigencam", "eigengradcam", "segeigencam"])
def test_components_are_the_librarys(networks: Networks, blocks: Any, method: str) -> None:
    activations, gradients, found, mask = seen_at(networks, blocks.image("val00"), "z", method)
    if method == "segeigencam":
        expected = get_2d_projection_with_sign_correction(np.abs(gradients) * activations)
    else:
        expected = get_2d_projection(activations if method == "eigencam" else gradients * activations)
        whole = stretched(expected, mask.shape)
        expected *= np.sign(whole[mask].mean() - whole[~mask].mean())
    expected = stretched(np.maximum(expected, 0), mask.shape)
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max())


def test_seg_eigen_cam_turns_its_component_by_its_own_rule() -> None:
    random, turned = np.random.default_rng(0), []
    for _ in range(10):
        activations, gradients = random.normal(size=(2, 1, 5, 6, 7)).astype(np.float32)
        found = METHODS["segeigencam"].get_cam_image(None, None, None, None, activations, gradients, False)
        weighted = np.abs(gradients) * activations
        np.testing.assert_allclose(found, get_2d_projection_with_sign_correction(weighted), atol=1e-4)
        turned.append(bool(np.sign(get_2d_projection(weighted) * found).min() < 0))
    assert set(turned) == {False, True}


@pytest.mark.parametrize("method", ["eigencam", "eigengradcam", "kpcacam"])
def test_a_component_is_turned_towards_the_mask(
    networks: Networks, blocks: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = METHODS[method].get_cam_image
    _, _, found, _ = seen_at(networks, blocks.image("val00"), "z", method)
    monkeypatch.setattr(METHODS[method], "get_cam_image", lambda *args: -own(*args))
    _, _, turned, _ = seen_at(networks, blocks.image("val00"), "z", method)
    np.testing.assert_array_equal(found, turned)


def test_shapley_cam_is_grad_cam_in_a_network_of_relus(networks: Networks, blocks: Any) -> None:
    maps = [
        seen_at(networks, blocks.image("val00"), "aspp", method)[2] for method in ("gradcam", "shapleycam", "hirescam")
    ]
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-5 * maps[0].max())
    assert np.abs(maps[2] - maps[0]).max() > 0.1 * maps[0].max()


@pytest.mark.parametrize("layer", ["backbone.body.bn1", "backbone.body.layer1.0.bn2"])
def test_layers_before_one_that_works_in_place_are_seen_as_they_are(
    networks: Networks, blocks: Any, layer: str
) -> None:
    activations, _, found, mask = seen_at(networks, blocks.image("val00"), layer, "ablationcam")
    tame = copy.deepcopy(networks)
    kept: dict[str, Tensor] = {}

    def keep(_module: Any, _inputs: Any, output: Tensor) -> None:
        kept["output"] = output.clone()

    tame.student.get_submodule(layer).register_forward_hook(keep)
    with torch.no_grad():
        tame.student.encode(torch.from_numpy(blocks.image("val00")).permute(2, 0, 1)[None].float() / 255)
    assert (kept["output"] < 0).any()
    np.testing.assert_allclose(activations, kept["output"].numpy(), atol=1e-6)
    assert found.shape == mask.shape


def test_random_numbers_are_the_maps_own(networks: Networks, blocks: Any) -> None:
    def state() -> tuple[Any, Any]:
        return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    np.random.seed(99)  # noqa: NPY002 -- that the global generator is left alone is what is tested
    before = state()
    first = {method: seen_at(networks, blocks.image("val00"), "z", method)[2] for method in ("randomcam", "kpcacam")}
    assert state() == before
    np.random.seed(7)  # noqa: NPY002
    for method, found in first.items():
        np.testing.assert_array_equal(found, seen_at(networks, blocks.image("val00"), "z", method)[2])


@pytest.mark.parametrize("method", ["ablationcam", "scorecam"])
def test_trying_every_channel_piles_nothing_up(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, kept = METHODS[method].get_cam_image, []

    def watched(cam: Any, *args: Any) -> np.ndarray:
        found = own(cam, *args)
        kept.append(len(cam.activations_and_grads.activations))
        return found

    monkeypatch.setattr(METHODS[method], "get_cam_image", watched)
    on_paper(method)
    assert kept == [0]


def test_no_bars_but_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    on_paper("ablationcam")
    on_paper("scorecam")
    assert capsys.readouterr() == ("", "")


def test_bad_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--method among gradcam, gradcam\+\+, .*, got 'grad-cam'; choose"):
        check_method("grad-cam")
    monkeypatch.setattr(cam_methods, "_PLACES", 3)
    with pytest.raises(UserError, match="--layer with at most 3 places for kpcacam, got 4 places"):
        on_paper("kpcacam")
    on_paper("eigencam")
