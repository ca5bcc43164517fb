import math

import pytest
import torch

from psmt_viz.train.losses import assisted_mean, confident_cross_entropy, labeled_cross_entropy

B, K, H, W = 2, 5, 8, 6


def draw(*shape, seed=0, scale=2.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def softmax(values):
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def pixels():
    return [(b, h, w) for b in range(B) for h in range(H) for w in range(W)]


def at(values, place):
    b, h, w = place
    return values[b, :, h, w].tolist()


def test_labeled_loss_against_a_loop():
    logits = draw(B, K, H, W)
    label = torch.randint(0, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    label[0, 0], label[1, 2, 1] = 255, 255
    seen = [place for place in pixels() if label[place] != 255]
    assert 0 < len(seen) < B * H * W
    expected = sum(-math.log(softmax(at(logits, place))[label[place]]) for place in seen) / len(seen)
    assert float(labeled_cross_entropy(logits, label)) == pytest.approx(expected, rel=1e-12)


def test_void_pixels_have_no_gradient():
    logits = draw(B, K, H, W).requires_grad_()
    label = torch.zeros(B, H, W, dtype=torch.int64)
    label[:, 1:] = 255
    labeled_cross_entropy(logits, label).backward()
    assert (logits.grad[:, :, 1:] == 0).all()
    assert (logits.grad[:, :, 0] != 0).all()


def test_no_label_at_all_is_zero_with_a_graph():
    logits = draw(B, K, H, W).requires_grad_()
    loss = labeled_cross_entropy(logits, torch.full((B, H, W), 255))
    assert loss == 0
    loss.backward()
    assert (logits.grad == 0).all()


def slow_confident(logits, teacher, valid, threshold):
    total, passing = 0.0, 0
    for place in pixels():
        probabilities = softmax(at(teacher, place))
        confidence = max(probabilities)
        if valid[place] and confidence >= threshold:
            target = probabilities.index(confidence)
            total += confidence * -math.log(softmax(at(logits, place))[target])
            passing += 1
    return total / max(passing, 1), passing / max(int(valid.sum()), 1)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_confident_loss_against_a_loop(threshold, share):
    logits, teacher = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    valid = torch.rand(B, H, W, generator=torch.Generator().manual_seed(2)) <= share
    loss, fraction = confident_cross_entropy(logits, teacher, valid, threshold=threshold)
    expected = slow_confident(logits, teacher, valid, threshold)
    assert (float(loss), float(fraction)) == pytest.approx(expected, rel=1e-6)
    assert 0 < expected[1] <= 1
    assert (expected[1] < 1) == (threshold > 0)


def test_a_confidence_at_the_threshold_passes():
    teacher = torch.zeros(1, 2, 1, 1)
    for threshold, share in ((0.5, 1), (math.nextafter(0.5, 1), 0)):
        _, fraction = confident_cross_entropy(teacher, teacher.double(), torch.tensor([[[True]]]), threshold=threshold)
        assert fraction == share


def test_only_passing_pixels_and_only_the_student_learn():
    logits, teacher = draw(B, K, H, W).requires_grad_(), draw(B, K, H, W, seed=1)
    valid = torch.ones(B, H, W, dtype=torch.bool)
    valid[0, 0] = False
    loss, fraction = confident_cross_entropy(logits, teacher, valid, threshold=0.7)
    loss.backward()
    for place in pixels():
        passes = bool(valid[place]) and max(softmax(at(teacher, place))) >= 0.7
        assert any(at(logits.grad, place)) == passes
    assert 0 < fraction < 1
    assert not fraction.requires_grad


@pytest.mark.parametrize("nobody", ["sure", "inside"])
def test_nobody_passes(nobody):
    logits, teacher = draw(B, K, H, W).requires_grad_(), draw(B, K, H, W, seed=1, scale=0.01)
    valid = torch.full((B, H, W), nobody == "sure")
    loss, fraction = confident_cross_entropy(logits, teacher, valid, threshold=0.9 if nobody == "sure" else 0.0)
    assert loss == 0
    assert fraction == 0
    loss.backward()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("top", [1, 2, 3, 4, 5, 7])
def test_assist_mask_against_a_loop(top):
    updated, other = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    before = updated.clone(), other.clone()
    mean = assisted_mean(updated, other, top=top)
    replaced = 0
    for place in pixels():
        ours, theirs = at(updated, place), at(other, place)
        kept = sorted(range(K), key=lambda k: -theirs[k])[:top]
        replaced += K - len(kept)
        expected = [(ours[k] + (theirs[k] if k in kept else ours[k])) / 2 for k in range(K)]
        assert at(mean, place) == pytest.approx(expected, rel=1e-12)
    assert replaced == max(K - top, 0) * B * H * W
    assert torch.equal(updated, before[0]) and torch.equal(other, before[1])


@pytest.mark.parametrize("top", [K, K + 1, 100])
def test_with_every_logit_kept_it_is_the_plain_mean_of_both(top):
    updated, other = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    torch.testing.assert_close(assisted_mean(updated, other, top=top), torch.stack([updated, other]).mean(0))
    swapped = assisted_mean(other, updated, top=top)
    assert torch.equal(assisted_mean(updated, other, top=top), swapped)
    assert not torch.equal(assisted_mean(updated, other, top=2), assisted_mean(other, updated, top=2))
