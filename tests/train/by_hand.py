"""Steps of training written out in plain tensors, and what tests of training share."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from psmt_viz.seeds import derived_seed
from psmt_viz.train.cutmix import draw_mix

TINY = {
    "split": "1_4",
    "crop": 48,
    "long_side": (40, 72),
    "batch_labeled": 2,
    "batch_unlabeled": 2,
    "steps_per_epoch": 2,
    "epochs": 3,
    "warmup_epochs": 1,
    "ramp_epochs": 2,
    "aspp_channels": 8,
    "aspp_rates": (1, 2),
    "low_channels": 4,
    "decoder_channels": 8,
    # After so few steps every probability is near 1/7; all of them shall count.
    "confidence": 0.0,
    "assist_top": 2,
    "ema": 0.9,
    "lr": 0.02,
}

ROLE_LOADERS = {"student": "labeled", "teacher1": "teacher1", "teacher2": "teacher2"}


def copied(network):
    return {name: values.clone() for name, values in network.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def states(trainer):
    return {role: copied(network) for role, network in trainer.networks.by_role().items()}


def batch(trainer, name, step):
    return trainer.loaders[name].batch(step)


def spied(patch, owner, name):
    """Returns a list that fills with the keyword arguments and the result of each call of a function."""
    calls, original = [], getattr(owner, name)

    def spy(*args, **given):
        result = original(*args, **given)
        calls.append((given, result))
        return result

    patch.setattr(owner, name, spy)
    return calls


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def sharpen(trainer):
    """Gives the teachers the statistics and the confidence that training would: probabilities from a third to 1."""
    # Not the loader's images, of which several processes read one share each.
    pixels = [torch.from_numpy(trainer.data.image(id))[:48, :48] for id in trainer.data.ids("train")[:4]]
    images = torch.stack(pixels).permute(0, 3, 1, 2) / 255
    for teacher in trainer.networks.teachers.values():
        for module in norms(teacher):
            module.momentum = 1.0
        with torch.no_grad():
            teacher.train()(images)
        for module in norms(teacher):
            module.momentum = 0.1
        teacher.classifier.weight.data *= 6


def fix_statistics(trainer):
    """Takes BatchNorm's batch statistics away for good, so that an image's result depends on no other image."""
    for module in norms(trainer.networks.eval()):
        module.train = lambda mode=True, module=module: module


def cross_entropy(logits, label, count=None):
    total = F.cross_entropy(logits, label.long(), ignore_index=255, reduction="sum")
    return total / ((label != 255).sum() if count is None else count)


def after_sgd(network, lr, optim):
    """The first step of SGD along the network's gradients: no momentum yet, decay on convolution weights."""
    for name, parameter in network.named_parameters():
        factor = 1.0 if name.startswith("backbone.") else optim.head_lr_factor
        decay = optim.weight_decay if parameter.ndim == 4 else 0.0
        parameter.data -= lr * factor * (parameter.grad + decay * parameter.data)
    return network.state_dict()


def joined(network, copies):
    """The network with the sum of its copies' gradients and the mean of their running statistics."""
    for parameter, *others in zip(network.parameters(), *(each.parameters() for each in copies), strict=True):
        parameter.grad = sum(other.grad for other in others) if others[0].grad is not None else None
    for buffer, *others in zip(network.buffers(), *(each.buffers() for each in copies), strict=True):
        buffer.copy_(torch.stack([other.double() for other in others]).mean(0))
    return network


def averaged(teacher, student, keep):
    return {
        name: (keep * values + (1 - keep) * student[name]) if values.is_floating_point() else student[name]
        for name, values in teacher.items()
    }


def assert_close(found, expected):
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=2e-5, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


def labeled_reference(network, images, label, lr, config):
    """Weights and loss of a network after a first step on labelled images, each micro-batch on a copy of it."""
    copies, total = [], 0.0
    for part, truth in zip(*(each.chunk(config.system.accumulate) for each in (images, label)), strict=True):
        copies.append(copy.deepcopy(network).train())
        loss = cross_entropy(copies[-1](part / 255), truth, count=(label != 255).sum())
        loss.backward()
        total += float(loss.detach())
    return after_sgd(joined(copy.deepcopy(network), copies), lr, config.optim), total


def target_reference(teachers, unlabeled, config, *, step, part, updated):
    """A micro-batch's images, confidence, target, who passes; pixels that pass, are valid, differ and are seen."""
    method = config.method
    valid = torch.ones_like(unlabeled.label, dtype=torch.bool) if method.count_padding else unlabeled.label != 255
    with torch.no_grad():
        mine, other = (teachers[i](unlabeled.weak / 255) for i in (updated, 1 - updated))
    differing, seen = int(((mine.argmax(1) != other.argmax(1)) & valid).sum()), int(valid.sum())
    least = other.sort(dim=1, descending=True).values[:, method.assist_top - 1, None]
    pseudo, mixed = (mine + torch.where(other >= least, other, mine)) / 2, unlabeled.strong / 255
    if method.cutmix != "none":
        numbers = range(part * len(mixed), (part + 1) * len(mixed))
        groups = [0] if method.groups == 1 else list(numbers)  # of the whole batch, or of single images
        sources = torch.arange(len(mixed))[:, None, None].repeat(1, 48, 48)
        for group in groups:
            own = numbers if method.groups == 1 else [group]
            mix = draw_mix(method.cutmix, len(own), 48, 48, **mix_sources(config, step, group, own))
            for box in mix.boxes:
                for index, image in enumerate(own):
                    top, left, bottom, right = box.corners[index].tolist()
                    assert 0 < (bottom - top) * (right - left) < 48 * 48
                    sources[image - numbers[0], top:bottom, left:right] = own[int(box.partner[index])] - numbers[0]
        mixed, pseudo, valid = (pasted(values, sources) for values in (mixed, pseudo, valid))
    confidence, target = pseudo.softmax(1).max(1)
    passing = (confidence >= method.confidence) & valid
    return (mixed, confidence, target, passing), (int(passing.sum()), int(valid.sum()), differing, seen)


def mix_sources(config, step, group, images):
    """Where the draws of some images' boxes come from."""

    def source(*path):
        return torch.Generator().manual_seed(derived_seed(config.system.seed, *path))

    places = [source("cutmix place", step, image) for image in images]
    partners = source("cutmix partners", step, images[0])
    return {"size": source("cutmix size", step, group), "places": places, "partners": partners}


def pasted(values, sources):
    """Values (B, ..., H, W), each pixel from the image that `sources` (B, H, W) names there."""
    rows, columns = torch.meshgrid(*(torch.arange(length) for length in sources.shape[1:]), indexing="ij")
    return values.movedim((-2, -1), (1, 2))[sources, rows, columns].movedim((1, 2), (-2, -1))


def psmt_reference(trainer, step, lr, updated):
    """Student, both teachers and numbers after one step (final weight 1.5, EMA 0.9), without noise on the features."""
    config, networks = trainer.config, copy.deepcopy(trainer.networks)
    count = config.system.accumulate
    labeled, unlabeled = (batch(trainer, name, step).chunks(count) for name in ("labeled", "unlabeled"))
    teachers, drifted, targets, counts = nn.ModuleList(networks.teachers.values()), [], [], []
    for part, views in enumerate(unlabeled):
        drifted.append(copy.deepcopy(teachers).train(config.method.pseudo_labels == "train"))
        target, count = target_reference(drifted[-1], views, config, step=step, part=part, updated=updated)
        targets.append(target)
        counts.append(count)
    joined(teachers, drifted)
    passing, valid, differing, seen = (sum(each) for each in zip(*counts, strict=True))
    known = sum((part.label != 255).sum() for part in labeled)
    # First all labelled images, then all mixed ones, each pass with statistics of its own.
    copies, losses = [], [0.0, 0.0]
    for views in labeled:
        copies.append(copy.deepcopy(networks.student).train())
        sup = cross_entropy(copies[-1](views.strong / 255), views.label, known)
        sup.backward()
        losses[0] += float(sup.detach())
    first = joined(copy.deepcopy(networks.student), copies)
    copies = []
    for mixed, confidence, target, passes in targets:
        copies.append(copy.deepcopy(first).train())
        wrong = -copies[-1](mixed).log_softmax(1).gather(1, target[:, None])[:, 0]
        unsup = (confidence * wrong)[passes].sum() / passing
        (1.5 * unsup).backward()
        losses[1] += float(unsup.detach())
    second = joined(copy.deepcopy(first), copies)
    for parameter, other in zip(second.parameters(), first.parameters(), strict=True):
        parameter.grad = parameter.grad + other.grad
    after = after_sgd(second, lr, config.optim)
    ends = [teacher.state_dict() for teacher in teachers]
    ends[updated] = averaged(ends[updated], after, 0.9)
    return after, ends, (*losses, passing / valid, differing / seen)
