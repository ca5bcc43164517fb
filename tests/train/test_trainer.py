import numpy as np
import torch

from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import batch, copied, same, sharpen


def test_the_picture_shows_a_step_and_changes_nothing(tiny, scenes):
    config = tiny(cutmix="none", assist_top=7, confidence=0.6)
    looked, blind = (Trainer(config, scenes) for _ in range(2))
    for trainer in (looked, blind):
        list(trainer.steps(0, 2))
        sharpen(trainer)
    before = copied(looked.networks)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    shown = looked.picture(2, images=1)
    assert torch.equal(torch.rand(2), expected)
    assert same(before, copied(looked.networks))

    labeled, unlabeled = batch(looked, "labeled", 2), batch(looked, "unlabeled", 2)
    with torch.no_grad():
        network = looked.networks.eval()
        first, second = (teacher(unlabeled.weak / 255)[:1] for teacher in network.teachers.values())
        prediction = network.student(torch.cat([labeled.strong[:1], unlabeled.strong[:1]]) / 255).argmax(1)
    confidence, pseudo = ((first + second) / 2).softmax(1).max(1)
    pseudo[(confidence < 0.6) | (unlabeled.label[:1] == 255)] = 255
    assert 0 < (pseudo == 255).float().mean() < 1
    pairs = {
        "weak view": torch.cat([labeled.weak[:1], unlabeled.weak[:1]]).permute(0, 2, 3, 1),
        "strong view": torch.cat([labeled.strong[:1], unlabeled.strong[:1]]).permute(0, 2, 3, 1),
        "truth or pseudo-label": torch.cat([labeled.label[:1], pseudo]),
        "student's prediction": prediction,
    }
    assert list(shown.columns) == list(pairs)
    for title, values in pairs.items():
        np.testing.assert_array_equal(shown.columns[title], values.numpy(), err_msg=title)
    assert np.isnan(shown.confidence[0]).all()
    np.testing.assert_allclose(shown.confidence[1], confidence[0], rtol=1e-6)

    list(looked.steps(2, 4)), list(blind.steps(2, 4))
    assert same(copied(looked.networks), copied(blind.networks))
