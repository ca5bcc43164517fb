import json
from pathlib import Path

import pytest
import timm
import torch
from torch.nn import functional as F

from psmt_viz.checkpoints import read_checkpoint
from psmt_viz.config import ModelConfig
from psmt_viz.models.psmt_deeplab import PSMTDeepLabV3Plus
from tests.authors import golden_state, save

GOLDEN = json.loads((Path(__file__).parent / "golden_psmt_deeplabv3plus.json").read_text())


def authors(backbone="resnet50s", **settings):
    return ModelConfig(arch="psmt-deeplabv3plus", backbone=backbone, pretrained=False, **settings)


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """The authors' three networks with the weights of GOLDEN's rule, through a file."""
    path = save(tmp_path_factory.mktemp("official") / "golden.pth", golden_state(GOLDEN["base"]))
    found = read_checkpoint(path)
    path.unlink()  # half a gigabyte
    return found.networks([f"class_{index}" for index in range(21)])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PSMTDeepLabV3Plus(authors(), 21)


@torch.no_grad()
def test_the_golden_outputs_of_the_authors_network(golden):
    source = torch.Generator().manual_seed(GOLDEN["base"] + 99999)
    raw = F.interpolate(
        torch.randn(1, 3, 65, 97, generator=source), size=(72, 104), mode="bilinear", align_corners=True
    )
    assert set(golden.by_role()) == set(GOLDEN["outputs"])
    for role, wanted in GOLDEN["outputs"].items():
        network = golden.by_role()[role]
        # The authors' input is scaled already; ours begins with the scale.
        z = network.encode(raw * network.backbone.std + network.backbone.mean)
        assert list(z.shape) == wanted["z_shape"]
        assert float(z.double().sum()) == pytest.approx(wanted["z_sum"], rel=1e-5)
        assert float(z.double().abs().mean()) == pytest.approx(wanted["z_abs_mean"], rel=1e-5)
        logits = network.decode(z, (72, 104))
        assert list(logits.shape) == wanted["logits_shape"]
        for place, values in wanted["logits_pixels"].items():
            row, column = map(int, place.split(","))
            error = logits[0, :, row, column] - torch.tensor(values)
            assert error.norm() < 1e-5 * torch.tensor(values).norm(), (role, place)


@torch.no_grad()
def test_images_in_0_to_1_are_scaled_by_imagenets_statistics(golden):
    network, images = golden.student, torch.rand(1, 3, 33, 41, generator=torch.Generator().manual_seed(2))
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    maps = network.backbone.body((images - mean) / std)
    low, high = network.backbone(images)
    torch.testing.assert_close(high, maps[-1], rtol=1e-5, atol=1e-5)
    assert (low.shape, high.shape) == ((1, 256, 9, 11), (1, 2048, 3, 3))


@pytest.mark.parametrize("backbone", ["resnet50s", "resnet101s"])
def test_the_last_stage_has_no_stride_and_dilations_of_2_4_8(backbone):
    with torch.device("meta"):
        body = PSMTDeepLabV3Plus(authors(backbone), 21).backbone.body
    convs = [module for module in body.modules() if isinstance(module, torch.nn.Conv2d)]
    assert {conv.dilation for conv in convs if conv.kernel_size == (1, 1)} == {(1, 1)}
    last = [block.conv2 for block in body.layer4]
    assert [(c.dilation, c.padding, c.stride) for c in last] == [((r, r), (r, r), (1, 1)) for r in (2, 4, 8)]
    others = [conv for conv in convs if conv.kernel_size == (3, 3) and all(conv is not one for one in last)]
    assert {(conv.dilation, conv.padding) for conv in others} == {((1, 1), (1, 1))}


@pytest.mark.parametrize(("backbone", "classes"), [("resnet50s", 21), ("resnet101s", 19)])
def test_shapes_and_the_split_point(backbone, classes):
    network = PSMTDeepLabV3Plus(authors(backbone), classes).eval()
    images = torch.rand(1, 3, 41, 33)
    with torch.no_grad():
        z = network.encode(images)
        assert z.shape == (1, 304, 11, 9)
        assert network.decoder(z).shape == (1, 256, 11, 9)
        assert network.classifier(network.decoder(z)).shape == (1, classes, 11, 9)
        assert torch.equal(network(images), network.decode(z, (41, 33)))


def test_one_image_trains_every_parameter_through_forward(network):
    network.train().zero_grad(set_to_none=True)
    statistics = {name: values.clone() for name, values in network.named_buffers()}
    network(torch.rand(1, 3, 65, 49)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name
    moved = {name for name, values in network.named_buffers() if not torch.equal(values, statistics[name])}
    # One value a channel has no statistics; all other norms have gone on learning theirs.
    kept = {f"aspp.global_pooling_bn.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(statistics) - moved == kept | {"backbone.mean", "backbone.std"}
    network.zero_grad(set_to_none=True)


def test_heads_and_backbone_share_out_the_parameters(network):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head = {names[id(parameter)] for parameter in network.head_parameters()}
    assert head == {name for name in names.values() if not name.startswith("backbone.")}
    assert {name.split(".")[0] for name in head} == {"aspp", "reduce", "decoder", "classifier"}


def test_no_block_starts_as_the_identity(network):
    # By default the last normalisation of each block starts at 0.
    scales = [block.bn3.weight for stage in range(1, 5) for block in getattr(network.backbone.body, f"layer{stage}")]
    assert len(scales) == 16
    assert all((scale == 1).all() for scale in scales)


def test_imagenet_weights_come_through_timms_hub(monkeypatch):
    made, create = [], timm.create_model

    def offline(name, *, pretrained, **settings):
        made.append((name, pretrained, settings))
        return create(name, pretrained=False, **settings)

    monkeypatch.setattr(timm, "create_model", offline)
    config = ModelConfig(**{**vars(authors("resnet101s")), "pretrained": True})
    with pytest.warns(UserWarning, match="ImageNet weights of resnet101s"), torch.device("meta"):
        PSMTDeepLabV3Plus(config, 21)
    assert made == [("resnet101s", True, {"features_only": True, "output_stride": 16, "zero_init_last": False})]
