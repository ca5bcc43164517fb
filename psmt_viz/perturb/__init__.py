"""Perturbations of features: one search, told apart by who predicts, and what it is held against."""

from psmt_viz.perturb.adversarial import Health, Perturbed, adversarial_perturbation
from psmt_viz.perturb.ascent import projected_ascent
from psmt_viz.perturb.baselines import FEATURE_KINDS, feature_perturbation, random_perturbation
from psmt_viz.perturb.frozen import frozen
from psmt_viz.perturb.kinds import KINDS, MAKERS, SEARCHES, Settings, exact_cosine, make
from psmt_viz.perturb.norms import cosine_per_image
from psmt_viz.perturb.objectives import Predict, curvature_product, kl_of_logits, kl_per_image

__all__ = [
    "FEATURE_KINDS",
    "KINDS",
    "MAKERS",
    "SEARCHES",
    "Health",
    "Perturbed",
    "Predict",
    "Settings",
    "adversarial_perturbation",
    "cosine_per_image",
    "curvature_product",
    "exact_cosine",
    "feature_perturbation",
    "frozen",
    "kl_of_logits",
    "kl_per_image",
    "make",
    "projected_ascent",
    "random_perturbation",
]
