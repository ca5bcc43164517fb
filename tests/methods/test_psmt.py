import pytest

from psmt_viz.methods.psmt import PSMTConfig


@pytest.mark.parametrize(("batch", "per_gpu", "asked", "heads"), [
    (32, 8, "auto", "kaiming"), (8, 8, "auto", "torch"), (8, None, "auto", "torch"), (32, 8, "torch", "torch"),
    (8, None, "kaiming", "kaiming"),
])  # fmt: skip
def test_teachers_heads_are_kaiming_as_on_several_gpus(batch, per_gpu, asked, heads):
    values = {"batch_labeled": batch, "batch_unlabeled": batch, "images_per_gpu": per_gpu, "teacher_heads": asked}
    assert PSMTConfig.of(values).start_of_teachers == {"teacher_start": "student", "teacher_heads": heads}


def test_the_ramp_up_and_the_best_role_are_the_settings():
    method = PSMTConfig(unsup_weight=3.0, ramp="cosine", ramp_epochs=4, best_by="teacher1")
    weight = method.unsupervised
    assert (weight.final, weight.ramp, weight.epochs, method.best_role) == (3.0, "cosine", 4, "teacher1")
