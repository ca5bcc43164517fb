import pytest

from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import ROLE_LOADERS, assert_close, batch, labeled_reference, same, states


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_first_step_of_the_warm_up_written_out(tiny, scenes, accumulate):
    config = tiny(head_lr_factor=2.0, weight_decay=0.1, batch_labeled=4, accumulate=accumulate, long_side=(30, 46))
    trainer = Trainer(config, scenes)
    batches = {role: batch(trainer, name, 0) for role, name in ROLE_LOADERS.items()}
    assert len({b.label.numpy().tobytes() for b in batches.values()}) == 3  # everyone has an order of its own
    known = [int((half != 255).sum()) for half in batches["student"].label.chunk(2)]
    assert abs(known[0] - known[1]) > 100  # micro-batches of unequal weight
    expected, losses = {}, {}
    for role, network in trainer.networks.by_role().items():
        images = batches[role].strong if role == "student" else batches[role].weak
        expected[role], losses[role] = labeled_reference(network, images, batches[role].label, 0.02, config)
    before = states(trainer)
    log = next(trainer.steps(0, 2))
    for role, network in trainer.networks.by_role().items():
        assert not same(before[role], network.state_dict())
        assert_close(network.state_dict(), expected[role])
    assert log.measured["loss_sup"].item() == pytest.approx(losses["student"], rel=1e-6)
    assert log.unsup_weight == 0
    assert set(log.measured) == {"loss_sup"}
