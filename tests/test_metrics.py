import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from psmt_viz.metrics import iou, mean_iou, pixel_accuracy

K = 6


def random_labels(seed):
    """Labels in which class 5 is nowhere and class 4 only predicted."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, 500, p=[0.6, 0.2, 0.15, 0.05])
    prediction = np.where(rng.random(500) < 0.6, truth, rng.integers(0, 5, 500))
    return truth, prediction, confusion_matrix(truth, prediction, labels=range(K))


@pytest.mark.parametrize("seed", range(5))
def test_scores_against_scikit_learn(seed):
    truth, prediction, matrix = random_labels(seed)
    reference = jaccard_score(truth, prediction, labels=range(5), average=None, zero_division=0)
    np.testing.assert_allclose(iou(matrix)[:5], reference, rtol=1e-12)
    assert math.isnan(iou(matrix)[5])
    assert iou(matrix)[4] == 0  # predicted where it never is: an error, not an absence
    assert mean_iou(matrix) == pytest.approx(reference.mean(), rel=1e-12)
    zero = jaccard_score(truth, prediction, labels=range(K), average="macro", zero_division=0)
    assert mean_iou(matrix, absent="zero") == pytest.approx(zero, rel=1e-12)
    assert mean_iou(matrix, absent="zero") < mean_iou(matrix)
    assert pixel_accuracy(matrix) == pytest.approx(accuracy_score(truth, prediction), rel=1e-12)


def test_two_classes_by_hand():
    matrix = np.array([[3, 1], [2, 4]])  # rows = truth
    np.testing.assert_allclose(iou(matrix), [3 / 6, 4 / 7])
    assert mean_iou(matrix) == pytest.approx((1 / 2 + 4 / 7) / 2)
    assert pixel_accuracy(matrix) == pytest.approx(0.7)


def test_the_mean_is_over_the_data_set_and_not_over_images():
    images = np.array([[[9, 1], [0, 0]], [[0, 0], [5, 5]]])
    assert mean_iou(images.sum(axis=0)) == pytest.approx((9 / 15 + 5 / 11) / 2)
    assert mean_iou(images.sum(axis=0)) != pytest.approx(np.mean([mean_iou(image) for image in images]))


def test_large_counts_do_not_overflow():
    matrix = np.full((2, 2), 2**62, dtype=np.int64)
    np.testing.assert_allclose(iou(matrix), [1 / 3, 1 / 3])
    assert pixel_accuracy(matrix) == 0.5


def test_nothing_labelled_has_no_score():
    empty = np.zeros((3, 3), int)
    assert np.isnan(iou(empty)).all()
    assert math.isnan(mean_iou(empty))
    assert mean_iou(empty, absent="zero") == 0
    assert math.isnan(pixel_accuracy(empty))
