import pytest
import timm
import torch

from psmt_viz.errors import UserError
from psmt_viz.models.backbone import Backbone


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "tf_efficientnet_lite0"])
def test_backbones_keep_their_output_stride(name, stride):
    backbone = Backbone(name, output_stride=stride).eval()
    with torch.no_grad():
        low, high = backbone(torch.rand(1, 3, 64, 96))
    assert low.shape == (1, backbone.low_channels, 16, 24)
    assert high.shape == (1, backbone.high_channels, 64 // stride, 96 // stride)


@torch.no_grad()
def test_images_are_scaled_as_the_backbone_expects():
    torch.manual_seed(0)
    backbone = Backbone("resnet18", output_stride=32).eval()
    full = timm.create_model("resnet18").eval()
    full.load_state_dict(backbone.body.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = full.forward_features((images - mean) / std)
    torch.testing.assert_close(backbone(images)[1], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, full.forward_features(images), rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "stride", "message"),
    [
        ("resnet5", 16, r"--backbone a model name of timm, got 'resnet5'; did you mean .*resnet50"),
        ("qqqqqqqq", 16, r"got 'qqqqqqqq'; see timm\.list_models\(\)"),
        ("vit_tiny_patch16_224", 16, r"feature maps at output stride 16, got vit_tiny.*such as resnet50"),
        ("swin_tiny_patch4_window7_224", 32, r"feature maps at output stride 32, got swin_tiny"),
        ("vgg11", 16, r"feature maps at output stride 16, got vgg11"),
    ],
)
def test_backbones_that_do_not_fit(name, stride, message):
    with pytest.raises(UserError, match=message):
        Backbone(name, output_stride=stride)


def test_weights_of_the_hub_that_cannot_be_had(monkeypatch):
    def offline(*_, pretrained, **__):
        assert pretrained
        raise OSError("We couldn't connect\nto anything")

    monkeypatch.setattr(timm, "create_model", offline)
    message = r"ImageNet weights from timm's hub, got resnet18: We couldn't connect; .*give --no-pretrained"
    with pytest.warns(UserWarning, match="ImageNet weights of resnet18"), pytest.raises(UserError, match=message):
        Backbone("resnet18", pretrained=True)
