import math

import numpy as np
import pytest
import torch

from psmt_viz.train.losses import (
    assisted_mean,
    confident_cross_entropy,
    labeled_cross_entropy,
    labeled_pixels,
    ohem_cross_entropy,
    pseudo_label,
)

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


def test_parts_weighted_by_the_whole_batch_add_up_to_it():
    logits, teacher = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    label = torch.randint(0, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    label[0, :5] = 255
    valid = label != 255
    known = labeled_pixels(label)
    assert known.tolist() == [int((one != 255).sum()) for one in label] and known[0] < known[1]
    share = (1 / known.sum().double()).expand(1)
    parts = [labeled_cross_entropy(logits[i : i + 1], label[i : i + 1], share) for i in range(B)]
    assert float(sum(parts)) == pytest.approx(float(labeled_cross_entropy(logits, label)), rel=1e-12)
    pseudo = [pseudo_label(teacher[i : i + 1], valid[i : i + 1], threshold=0.6) for i in range(B)]
    share = (1 / sum(each.passing.sum() for each in pseudo).double()).expand(1)
    parts = [confident_cross_entropy(logits[i : i + 1], each, share) for i, each in enumerate(pseudo)]
    whole = confident_cross_entropy(logits, pseudo_label(teacher, valid, threshold=0.6))
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-12)


def test_shares_of_images_weigh_their_pixels():
    logits, teacher = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    label = torch.randint(0, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    share = torch.tensor([0.25, 2.0], dtype=torch.float64)
    pseudo = pseudo_label(teacher, torch.ones_like(label, dtype=torch.bool), threshold=0.6)
    expected = [0.0, 0.0]
    for place in pixels():
        chances = softmax(at(logits, place))
        sure = softmax(at(teacher, place))
        expected[0] -= share[place[0]] * math.log(chances[label[place]])
        if max(sure) >= 0.6:
            expected[1] -= share[place[0]] * max(sure) * math.log(chances[int(np.argmax(sure))])
    assert float(labeled_cross_entropy(logits, label, share)) == pytest.approx(float(expected[0]), rel=1e-12)
    assert float(confident_cross_entropy(logits, pseudo, share)) == pytest.approx(float(expected[1]), rel=1e-12)


def hard_pixels(logits, label, threshold, kept):
    """The hard pixels and their losses, by sorting all labelled ones."""
    chances = {place: softmax(at(logits, place))[label[place]] for place in pixels() if label[place] != 255}
    hardest = sorted(chances, key=chances.get)
    below = [place for place in hardest if chances[place] < threshold]
    chosen = below if len(below) >= kept else hardest[:kept]
    return {place: -math.log(chances[place]) for place in chosen}


@pytest.mark.parametrize(
    ("threshold", "kept", "regime"),
    [(0.3, 20, "more"), (0.3, 70, "fewer"), (1.0, 1, "all"), (1e-6, 1, "fewer"), (0.3, 500, "all"), (0.7, 40, "more")],
)
def test_hard_example_mining_against_a_loop(threshold, kept, regime):
    logits = draw(B, K, H, W).requires_grad_()
    label = torch.randint(0, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    label[0, 0], label[1, 2, 1] = 255, 255
    hard = hard_pixels(logits.detach(), label, threshold, kept)
    known = int((label != 255).sum())
    assert {"more": kept < len(hard) < known, "fewer": len(hard) == kept, "all": len(hard) == known}[regime]
    loss = ohem_cross_entropy(logits, label, threshold=threshold, kept=kept)
    assert float(loss.detach()) == pytest.approx(sum(hard.values()) / len(hard), rel=1e-12)
    loss.backward()
    for place in pixels():
        assert any(at(logits.grad, place)) == (place in hard)


def test_exactly_as_many_hard_pixels_as_are_kept():
    logits = draw(B, K, H, W)
    label = torch.randint(0, K, (B, H, W), generator=torch.Generator().manual_seed(1))
    below = len(hard_pixels(logits, label, 0.4, 1))
    found = [float(ohem_cross_entropy(logits, label, threshold=0.4, kept=below + more)) for more in (-1, 0, 1)]
    assert found[0] == found[1]
    assert found[2] < found[1]  # one pixel more, and an easier one


def test_mining_without_a_label_is_zero_with_a_graph():
    logits = draw(B, K, H, W).requires_grad_()
    loss = ohem_cross_entropy(logits, torch.full((B, H, W), 255), threshold=0.7, kept=5)
    assert loss == 0
    loss.backward()
    assert (logits.grad == 0).all()


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


def confident(logits, teacher, valid, *, threshold):
    """The loss and the share of the valid pixels that pass."""
    pseudo = pseudo_label(teacher, valid, threshold=threshold)
    assert torch.equal(pseudo.valid, valid)
    return confident_cross_entropy(logits, pseudo), pseudo.passing.sum() / valid.sum().clamp(min=1)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_confident_loss_against_a_loop(threshold, share):
    logits, teacher = draw(B, K, H, W), draw(B, K, H, W, seed=1)
    valid = torch.rand(B, H, W, generator=torch.Generator().manual_seed(2)) <= share
    loss, fraction = confident(logits, teacher, valid, threshold=threshold)
    expected = slow_confident(logits, teacher, valid, threshold)
    assert (float(loss), float(fraction)) == pytest.approx(expected, rel=1e-6)
    assert 0 < expected[1] <= 1
    assert (expected[1] < 1) == (threshold > 0)


def test_a_confidence_at_the_threshold_passes():
    teacher = torch.zeros(1, 2, 1, 1)
    for threshold, share in ((0.5, 1), (float(np.nextafter(np.float32(0.5), np.float32(1))), 0)):
        _, fraction = confident(teacher, teacher, torch.tensor([[[True]]]), threshold=threshold)
        assert fraction == share


def test_pseudo_labels_against_a_loop():
    teacher, valid = draw(B, K, H, W, seed=1), torch.ones(B, H, W, dtype=torch.bool)
    valid[0, :3] = False
    found = pseudo_label(teacher, valid, threshold=0.6)
    assert found.target.dtype == torch.uint8 and not found.confidence.requires_grad
    for place in pixels():
        chances = softmax(at(teacher, place))
        assert found.target[place] == chances.index(max(chances))
        assert float(found.confidence[place]) == pytest.approx(max(chances), rel=1e-6)
        assert found.passing[place] == (bool(valid[place]) and max(chances) >= 0.6)


def test_only_passing_pixels_and_only_the_student_learn():
    logits, teacher = draw(B, K, H, W).requires_grad_(), draw(B, K, H, W, seed=1)
    valid = torch.ones(B, H, W, dtype=torch.bool)
    valid[0, 0] = False
    loss, fraction = confident(logits, teacher, valid, threshold=0.7)
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
    loss, fraction = confident(logits, teacher, valid, threshold=0.9 if nobody == "sure" else 0.0)
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
