"""Is the published search rounding noise on the published network?

Claim:    the authors' code steps by xi = 1e-6 in float32 and divides by (norm + 1e-8); on their network that leaves a
          perturbation of another size than the eps = 2 asked for, in a direction unrelated to the exact one. The
          floor of 1e-8 is felt where the gradient is small, as under flat predictions (a small classifier).
Command:  python analysis/published_step.py
Cost:     one minute on 2 cores; no data set, no weights.
Expected: a row for each seed, size of the classifier's weights and kind: norm, KL, flipped pixels, share of features
          that the step leaves unchanged, cosine to the exact direction in float64; and what psmt-viz says of it.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.data import open_data
from psmt_viz.models.inference import as_images, encode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import Settings, kl_of_logits
from psmt_viz.probes.health import HealthRecord
from psmt_viz.probes.kinds import judged, perturb

KINDS = ("tvat-official", "tvat", "vat", "random")
SIZE = (256, 256)


def settled(images: torch.Tensor, seed: int) -> PSMT:
    """Returns the authors' networks with random weights and BatchNorm statistics that fit some images."""
    config = ModelConfig(arch="psmt-deeplabv3plus", backbone="resnet50s", pretrained=False)
    bundle = PSMT(config, [f"class {index}" for index in range(21)], seed=seed)
    for module in bundle.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # one pass gives the statistics of these images
    with torch.no_grad():
        for network in bundle.networks().values():
            network.train()(images)
    return bundle.eval()


def main() -> None:
    """Prints the table for two draws of the weights and three sizes of the classifier."""
    data = open_data("scenes")
    images = F.interpolate(as_images([data.image(id) for id in data.ids("val")[:4]]), size=SIZE, mode="bilinear")
    print("seed classifier kind           norm     KL       flips    unchanged  cosine")
    for seed, size in product(range(2), (1.0, 1e-2, 1e-4)):
        bundle = settled(images, seed)
        for network in bundle.networks().values():
            network.classifier.weight.data *= size
        with torch.no_grad():
            z = encode_whole(bundle.student, images[:1])
        before = judged(bundle, ["student"], z, SIZE)["student"]
        record, rows = HealthRecord(bundle, KINDS, Settings()), {}
        for kind in KINDS:
            found = perturb(bundle, kind, z, SIZE, image_id="one", seed=seed)
            record.add(kind, found, z, SIZE, before.argmax(dim=1), eps=2.0)
            after = judged(bundle, ["student"], z + found.delta, SIZE)["student"]
            flips = 100 * float((after.argmax(1) != before.argmax(1)).float().mean())
            kl = float(kl_of_logits(before, after))
            rows[kind] = f"{seed:<4} {size:<10g} {kind:<14} {float(found.health.norm):<8.3f} {kl:<8.3g} {flips:<6.3f} %"
        for kind, health in record.summary().items():
            means = [f"{health[name]['mean']:<10.4f}" for name in ("unchanged", "cosine") if name in health]
            print(rows[kind], *means)
            for warning in health["warnings"]:
                print(f"      {warning}")


if __name__ == "__main__":
    main()
