"""Perturbations of features: the adversarial search, the same for every network, and what it is compared with."""

from psmt_viz.perturb.adversarial import Health, Perturbed, adversarial_perturbation, fault_of
from psmt_viz.perturb.ascent import projected_ascent
from psmt_viz.perturb.baselines import feature_perturbation, random_perturbation
from psmt_viz.perturb.frozen import frozen
from psmt_viz.perturb.kinds import ascents, exact_cosine, make
from psmt_viz.perturb.norms import cosine_per_image
from psmt_viz.perturb.objectives import Predict, curvature_product, kl_of_logits, kl_per_image
from psmt_viz.search import SearchSettings

__all__ = [
    "Health",
    "Perturbed",
    "Predict",
    "SearchSettings",
    "adversarial_perturbation",
    "ascents",
    "cosine_per_image",
    "curvature_product",
    "exact_cosine",
    "fault_of",
    "feature_perturbation",
    "frozen",
    "kl_of_logits",
    "kl_per_image",
    "make",
    "projected_ascent",
    "random_perturbation",
]
