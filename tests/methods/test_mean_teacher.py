from psmt_viz.methods.mean_teacher import MeanTeacherConfig


def test_the_ramp_up_is_that_of_the_consistency():
    method = MeanTeacherConfig(consistency_weight=3.0, ramp="cosine", ramp_epochs=4)
    weight = method.unsupervised
    assert (weight.final, weight.ramp, weight.epochs, method.best_role) == (3.0, "cosine", 4, "teacher")
