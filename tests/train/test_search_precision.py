"""The direction of the training's noise in mixed precision, on the run that is shipped."""

import copy
from dataclasses import replace

import pytest
import torch

import psmt_viz
from psmt_viz.config import Config
from psmt_viz.data.scenes import Scenes
from psmt_viz.perturb import adversarial_perturbation, cosine_per_image, frozen
from psmt_viz.perturb.norms import widened
from psmt_viz.runs import Run
from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import batch

IMAGES = 6


@pytest.fixture(scope="module")
def shipped():
    """The shipped networks, and they again in float64."""
    networks = psmt_viz.load_run()
    return networks, copy.deepcopy(networks).double()


@pytest.mark.parametrize("perturbation", ["tvat", "vat"])
def test_the_noise_of_training_in_bf16_has_the_exact_direction(shipped, perturbation):
    networks, reference = shipped
    values = {"precision": "bf16", "perturbation": perturbation, "batch_labeled": IMAGES, "batch_unlabeled": IMAGES}
    config: Config = replace(Run.open(None).config).replace(values)
    trainer = Trainer(config, Scenes(train=64, val=4))
    trainer.networks.load_state_dict(networks.state_dict())
    trainer.networks.eval()
    (images,) = trainer.method.micro_batches.cut(batch(trainer, "labeled", 0), IMAGES)
    with torch.no_grad(), trainer.engine.autocast():
        z = trainer.networks.encode(images.strong)
    assert z.dtype == torch.bfloat16
    with trainer.engine.autocast():  # as inside the student's forward pass
        noise = trainer.method.searched_noise(500, "labeled", images, z)
    size, wide = images.label.shape[-2:], widened(z)
    role = "ensemble" if perturbation == "tvat" else "student"
    start = trainer.method.draws.start(500, "labeled", images.images, wide, uniform=False)
    with frozen(reference):
        exact = adversarial_perturbation(
            lambda features: reference.decode(role, features, size), wide.double(), search="exact", start=start.double()
        )
    assert noise.dtype == torch.float32
    assert (cosine_per_image(noise.double(), exact.delta) >= 0.99).all()
