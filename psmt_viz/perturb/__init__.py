"""Adversarial perturbations of features: one search, told apart by who predicts."""

from psmt_viz.perturb.adversarial import Health, Perturbed, adversarial_perturbation, kl_of_logits, kl_per_image
from psmt_viz.perturb.baselines import random_perturbation
from psmt_viz.perturb.exact import curvature_product, direction_cosine
from psmt_viz.perturb.frozen import frozen

__all__ = [
    "Health",
    "Perturbed",
    "adversarial_perturbation",
    "curvature_product",
    "direction_cosine",
    "frozen",
    "kl_of_logits",
    "kl_per_image",
    "random_perturbation",
]
