"""Networks as people have them, on their own images: scores are those of the library's own forward pass."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from psmt_viz.models.resize import resize_unaligned
from psmt_viz.models.split_at import logits_of
from tests.commands import Run, blank_figures, refused
from tests.data.variants import put, put_names

SIZE, NAMES = (64, 96), ("ground", "tree", "road")
MODELS = """
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.down, self.bottom = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.norm = nn.Conv2d(16, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.last, self.head = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(12, classes, 1)

    def forward(self, images):
        skip = self.down(images).relu()
        deep = F.interpolate(self.bottom(F.max_pool2d(skip, 2)).relu(), scale_factor=2)
        return self.head(self.last(self.norm(self.up(torch.cat([skip, deep], 1))).relu()).relu())


MEAN, STD = (torch.tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
COLORS = torch.tensor([[60, 60, 60], [60, 160, 60], [170, 60, 60]]) / 255


def taught(make, normalised=False, steps=40):
    # A network that tells three colours apart, after a second or two.
    torch.manual_seed(3)
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        labels = torch.randint(3, (4, 1, 4, 6)).float()
        labels = F.interpolate(labels, size=(32, 64))[:, 0].long()
        images = COLORS[labels].permute(0, 3, 1, 2) + 0.08 * torch.randn(4, 3, 32, 64)
        output = network((images - MEAN) / STD if normalised else images)
        logits = output if isinstance(output, torch.Tensor) else output["out" if "out" in output else "logits"]
        logits = F.interpolate(logits, size=(32, 64), mode="bilinear")
        loss = F.cross_entropy(logits, labels) if logits.shape[1] == 3 else logits.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@cache
def unet():
    return taught(UNet)


@cache
def one_logit():
    return taught(lambda: UNet(1), steps=1)


def wrapped():
    return nn.DataParallel(torch.compile(unet()))


@cache
def lraspp():
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    return taught(lambda: lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3), True)


@cache
def smp():
    import segmentation_models_pytorch

    return taught(lambda: segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, classes=3), True)


@cache
def segformer():
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 3, 4],
                             decoder_hidden_size=24, num_labels=3)
    return taught(lambda: SegformerForSemanticSegmentation(config), True)


class Fixed(UNet):
    def forward(self, images):
        assert images.shape[-2:] == (224, 224), "images of 224 x 224"
        return super().forward(images)


@cache
def fixed():
    torch.manual_seed(3)
    return Fixed().eval()
"""
CUT = ("--split-at", "up")
KNOWN = {"lraspp": (), "smp": (), "segformer": (), "unet": CUT}
NORMALISED = {"lraspp", "smp", "segformer"}


@pytest.fixture(autouse=True)
def pictures() -> Iterator[None]:
    """Blank ones; they are looked at elsewhere."""
    with blank_figures():
        yield


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "their_networks.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)
    return "their_networks"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images in folders `train` and `val`, of sides that every network takes as they are."""
    root = tmp_path_factory.mktemp("images") / "theirs"
    for number in range(6):
        rng = np.random.default_rng(number)
        label = np.zeros(SIZE, np.uint8)
        label[8:40, 10 + number : 50], label[30:60, 60:90] = 1, 2
        colors = np.array([[60, 60, 60], [60, 160, 60], [170, 60, 60]])
        pixels = (colors[label] + rng.normal(0, 20, (*SIZE, 3))).clip(0, 255).astype(np.uint8)
        part = "val" if number > 2 else "train"
        put(root / part / "images" / f"{number}.png", pixels)
        put(root / part / "masks" / f"{number}.png", label)
    put_names(root, NAMES)
    return root


@torch.no_grad()
def own_miou(network: nn.Module, root: Path, *, normalised: bool) -> float:
    """The mean IoU of the network's own forward pass on the validation images."""
    from psmt_viz.data import open_data

    data = open_data(str(root))
    counts = np.zeros((3, 3))
    mean, std = (np.array(each) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for id in data.ids("val"):
        image = data.image(id) / 255
        image = (image - mean) / std if normalised else image
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        found = resize_unaligned(logits_of(network(tensor)), SIZE)[0].argmax(0).numpy()
        np.add.at(counts, (data.label(id), found), 1)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    return float(np.mean(np.diag(counts) / union))


@pytest.mark.parametrize("name", KNOWN)
def test_every_command_looks_at_it(run: Run, models: str, images: Path, tmp_path: Path, name: str) -> None:
    network = ("--model", f"{models}:{name}", *KNOWN[name], "--data", images, "--name", "theirs")
    assert run("evaluate", *network, "--out", "e").status == 0
    scores = pd.read_csv(tmp_path / "e" / "evaluation.csv").set_index("role")
    own = getattr(sys.modules[models], name)()
    assert scores.loc["student", "miou"] == pytest.approx(
        own_miou(own, images, normalised=name in NORMALISED), abs=1e-6
    )
    facts = json.loads((tmp_path / "e" / "evaluation.json").read_text())["subject"]
    assert facts["model"] == f"{models}:{name}" and facts.get("split_at") == (CUT[1] if KNOWN[name] else None)
    done = run("perturb", *network, "--eps", "2", "--kinds", "vat", "random", "--out", "p")
    assert done.status == 0, done.err
    flips = pd.read_csv(tmp_path / "p" / "flips.csv")
    health = json.loads((tmp_path / "p" / "health.json").read_text())["health"]
    for each in ("min", "mean", "max"):
        assert health["vat"]["norm_over_eps"][each] == pytest.approx(1, abs=1e-6)
    assert set(flips["kind"]) == {"vat", "random"}
    done = run("gradcam", *network, "--images", "1", "--out", "c")
    assert done.status == 0 or "correctly predicted" in done.err
    done = run("tsne", *network, "--n-pixels", "60", "--perplexity", "8", "--out", "t")
    assert done.status == 0, done.err


def test_a_single_logit_and_a_single_size(run: Run, models: str, images: Path, tmp_path: Path) -> None:
    two = ("--classes", "ground", "tree")
    done = run("evaluate", "--model", f"{models}:one_logit", *CUT, "--data", images, *two, "--out", "one")
    assert done.status == 0, done.err
    done = run("evaluate", "--model", f"{models}:one_logit", *CUT, "--data", images, "--out", "three")
    refused(done, "logits of 3 classes", "one logit, that of a sigmoid, serves for two classes")
    done = run("evaluate", "--model", f"{models}:fixed", *CUT, "--data", images, "--out", "fixed")
    assert done.status == 0, done.err


def test_what_wraps_it_is_taken_off(run: Run, models: str, images: Path, tmp_path: Path) -> None:
    for name in ("unet", "wrapped"):
        assert run("evaluate", "--model", f"{models}:{name}", *CUT, "--data", images, "--out", name).status == 0
    plain, inside = ((tmp_path / name / "evaluation.csv").read_bytes() for name in ("unet", "wrapped"))
    assert plain == inside


def test_weights_of_a_file(run: Run, models: str, images: Path, tmp_path: Path) -> None:
    network = ("--model", f"{models}:UNet", *CUT, "--data", images)
    assert run("evaluate", "--model", f"{models}:unet", *CUT, "--data", images, "--out", "own").status == 0
    state = sys.modules[models].unet().state_dict()
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}, "ema": state}, tmp_path / "w.pt")
    assert run("evaluate", *network, "--checkpoint", "w.pt", "--out", "loaded").status == 0
    own, loaded = (pd.read_csv(tmp_path / name / "evaluation.csv").set_index("role") for name in ("own", "loaded"))
    assert loaded.loc["student", "miou"] == own.loc["student", "miou"] == loaded.loc["teacher", "miou"]
    facts = json.loads((tmp_path / "loaded" / "evaluation.json").read_text())["subject"]
    assert facts["checkpoint"] == "w.pt" and facts["weights"] == "weights `model`, teacher `ema`"
    refused(run("evaluate", *network, "--checkpoint", "x.pt", "--out", "no"), "a checkpoint x.pt", "nothing there")


def test_a_cut_that_skip_connections_get_past(run: Run, models: str, images: Path) -> None:
    done = run("perturb", "--model", f"{models}:unet", "--split-at", "bottom", "--data", images, "--out", "no")
    refused(done, "a decoder after bottom that takes its output alone, got one that takes down too", "U-Net")
    done = run("perturb", "--model", f"{models}:unet", "--data", images, "--out", "no")
    refused(done, "--split-at MODULE")


def test_a_table_of_runs_and_networks(run: Run, models: str, images: Path, tmp_path: Path) -> None:
    network = ("--model", f"{models}:unet", *CUT, "--data", images, "--name", "my U-Net")
    assert run("table", *network, "--out", "t").status == 0
    assert "my U-Net" in (tmp_path / "t" / "table1.md").read_text()
