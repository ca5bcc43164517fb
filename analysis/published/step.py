"""Steps of training against a file: losses, noise, gradient, weights and running statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot, sqrt

import torch
from torch import Tensor

from psmt_viz.checkpoints.layouts.psmt import places
from psmt_viz.models.networks import Networks
from psmt_viz.train.losses import PseudoLabel
from published.document import Node
from published.report import Report, relative
from published.step_inputs import StepFile, StepInputs
from published.step_run import Taken, Variant, taken_steps, trainer_of
from published.weights import WeightRule, authors

Differences = list[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """The largest relative differences of a step."""

    losses: float
    gradient: float
    weights: float
    statistics: float
    passing: int
    """In pixels."""

    @classmethod
    def of(cls, variant: Variant, k: int) -> Tolerances:
        """Returns those of step k."""
        if variant.dtype == torch.float64:
            return cls(losses=1e-10, gradient=1e-9, weights=1e-12, statistics=1e-11, passing=0)
        if k == 0:
            losses = 5e-5 if variant.noise else 5e-6
            return cls(losses=losses, gradient=5e-2, weights=5e-6, statistics=5e-6, passing=2)
        return cls(losses=5e-4, gradient=0.3, weights=5e-6, statistics=2e-4, passing=2)


def check_steps(document: Node, report: Report) -> None:
    """Takes the steps of every run of a file and compares them."""
    file, rule = StepFile(document), WeightRule.of(document["rule"])
    networks = authors(rule, document.file.parent)
    ready = networks.check(report, document["weights_check"])
    inputs: dict[int, StepInputs] = {}
    for name, run in document["runs"].items():
        variant, steps = Variant.of(file, run, name), dict(_steps(run))
        for k in steps:
            if k not in inputs:
                inputs[k] = StepInputs(file, k)
                ready = inputs[k].check(report) and ready
        if ready:
            trainer, draws = trainer_of(file, variant, depth=rule.depth, weights=networks.weights)
            for taken in taken_steps(trainer, draws, variant, {k: inputs[k] for k in steps}):
                compare(report, f"{name} {taken.k}", variant, taken, steps[taken.k])


def _steps(run: Node) -> Iterator[tuple[int, Node]]:
    for name, step in run.items():
        match = re.fullmatch(r"step(\d{1,6})", name)
        if match is None:
            raise step.refuse("under a name such as step0")
        yield int(match[1]), step


def compare(report: Report, name: str, variant: Variant, taken: Taken, stated: Node) -> None:
    """Compares one step."""
    allowed = Tolerances.of(variant, taken.k)
    _compare_losses(report, name, allowed, taken, stated)
    if variant.noise:
        _compare_noise(report, name, variant, taken, stated["noise"])
    _compare_networks(report, name, allowed, taken.networks, stated)


def _compare_losses(report: Report, name: str, allowed: Tolerances, taken: Taken, stated: Node) -> None:
    measured = taken.log.measured
    sup, unsup, share = (measured[name].item() for name in ("loss_sup", "loss_unsup", "confident_fraction"))
    pseudo = [target.pseudo for target in taken.record.targets]
    confidence, passing = _joined(pseudo, "confidence"), _joined(pseudo, "passing")
    found = {
        "sup_loss": sup,
        "unsup_loss": unsup,
        "unsup_loss_times_weight": unsup * taken.log.unsup_weight,
        "total_loss": sup + taken.log.unsup_weight * unsup,
        "ramp_times_final_weight": taken.log.unsup_weight,
        "learning_rate": taken.log.learning_rate,
        "mean_confidence": float(confidence.double().mean()),
    }
    differences = [(key, relative(value, stated[key].number())) for key, value in found.items()]
    report.worst(f"{name}: losses, weight, rate, mean confidence", differences, allowed.losses)
    wanted = stated["passing_pixels"].integer()
    counts = [("of the pseudo-labels", float(passing.sum())), ("as logged", share * passing.numel())]
    off = [(label, abs(round(count) - wanted)) for label, count in counts]
    report.worst(f"{name}: passing pixels", off, allowed.passing)
    target = _joined(pseudo, "target")
    histogram = torch.tensor(stated["pseudo_label_histogram_after_cutmix"].integers())
    moved = int((torch.bincount(target.flatten().long(), minlength=len(histogram)) - histogram).abs().sum()) / 2
    if allowed.passing:
        report.show(f"{name}: pixels of another pseudo-label", moved)
    else:
        report.judge(f"{name}: pixels of another pseudo-label", moved, 0)


def _joined(pseudo: list[PseudoLabel], field: str) -> Tensor:
    return torch.cat([getattr(each, field) for each in pseudo])


def _compare_noise(report: Report, name: str, variant: Variant, taken: Taken, stated: Node) -> None:
    found = {noise.branch: noise for noise in taken.record.noise}
    for each in stated.elements():
        branch = {"labelled": "labeled", "unlabelled": "unlabeled"}.get(each["branch"].text())
        noise = found.get(branch or "")
        if noise is None:
            raise each["branch"].refuse("labelled or unlabelled")
        piece, wanted = f"{name}: noise of the {each['branch'].text()} pass", each["r_norm"].numbers()
        norms = [(f"image {index}", relative(*pair)) for index, pair in enumerate(zip(noise.norm, wanted, strict=True))]
        if variant.dtype == torch.float64:
            report.worst(f"{piece}: norm", norms, 1e-9 if variant.xi >= 1e-2 else 1e-5)
        elif variant.xi > 1e-6:
            report.worst(f"{piece}: norm", norms, 1e-5 if variant.xi >= 1e-2 else 0.1)
        else:
            report.judge(f"{piece}: norm itself", max(noise.norm), 0.03, "rounding; its size alone has a meaning")
        rms = wanted[0] / sqrt(noise.size)
        first = max(abs(a - b) for a, b in zip(noise.first, each["r_first5"].numbers(), strict=True))
        report.show(f"{piece}: first values over their rms", first / rms)
        kl = max(relative(a, b) for a, b in zip(noise.kl, each["kl_sum_per_image"].numbers(), strict=True))
        flips = sum(abs(a - b) for a, b in zip(noise.flips, each["argmax_flips_per_image"].integers(), strict=True))
        report.show(f"{piece}: KL", kl, f"{flips} flips more or fewer")


def _compare_networks(report: Report, name: str, allowed: Tolerances, networks: Networks, stated: Node) -> None:
    layout, roles = places(networks.student.state_dict()), networks.by_role()
    gradients = {
        key: torch.zeros_like(values) if values.grad is None else values.grad
        for key, values in networks.student.named_parameters()
    }
    total = hypot(*(float(values.double().norm()) for values in gradients.values()))
    differences = [("of all", relative(total, stated["student_grad_l2_total"].number()))]
    for key, numbers in stated["student_grad"].items():
        ours = _place(layout, key, numbers)[1]
        differences.append((key, relative(float(gradients[ours].double().norm()), numbers["l2"].number())))
    report.worst(f"{name}: gradient", differences, allowed.gradient)
    after = stated["after"]
    for role, network in roles.items():
        values = network.state_dict()
        statistics = {key for key in values if key.endswith(("running_mean", "running_var"))}
        parameters = {key for key, _ in network.named_parameters()}
        for piece, suffix, members, tolerance in (
            ("weights", "weights", parameters, allowed.weights),
            ("running statistics", "bn", statistics, allowed.statistics),
        ):
            whole = hypot(*(float(values[key].double().norm()) for key in members))
            kind = "weights" if suffix == "weights" else "running_stats"
            off = [("L2 of all", relative(whole, after[f"{role}_l2_all_{kind}"].number()))]
            for key, numbers in after[f"{role}_{suffix}"].items():
                off += _tensor(key, values[_place(layout, key, numbers)[1]], numbers)
            report.worst(f"{name}: {role}'s {piece}", off, tolerance)


def _tensor(key: str, values: Tensor, stated: Node) -> Differences:
    size = stated["l2"].number()
    rms = size / sqrt(values.numel())
    first = values.flatten()[:5].double().tolist()
    found = [(f"{key} L2", relative(float(values.double().norm()), size))]
    pairs = zip(first, stated["first5"].numbers(), strict=True)
    return found + [(f"{key} [{index}]", abs(a - b) / rms) for index, (a, b) in enumerate(pairs)]


def _place(layout: dict[str, tuple[str, str]], key: str, stated: Node) -> tuple[str, str]:
    if key not in layout:
        raise stated.refuse(f"under a key of the authors' checkpoints, not {key}")
    return layout[key]
