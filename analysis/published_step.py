"""How large is the noise of the published search at eps = 2 on the published network?

Claim:    close to zero, and its direction is determined by rounding alone. The authors' code divides a gradient by
          (norm + 1e-8), but xi = 1e-6 and one over the images of a call are factors of that gradient, so that 1e-8
          dominates.
          In float32 the step itself is below the spacing of the features' numbers.
Command:  python analysis/published_step.py
Cost:     two minutes on 2 cores; no data set, no weights.
Expected: one row per seed, scale of the classifier's weights and search (published with 1 and 8 images per call, ours):
          norm, KL, flipped pixels, share of features that the step leaves unchanged, cosine to the exact direction in
          float64; and what psmt-viz says of it.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.data import open_data
from psmt_viz.models.build import build_networks
from psmt_viz.models.inference import as_images, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import SearchSettings, kl_of_logits
from psmt_viz.probes.health import HealthRecord
from psmt_viz.probes.kinds import judged, perturbation

SEARCHES = {
    "published, 1 image": ("tvat-official", SearchSettings(official_batch=1)),
    "published, 8 images": ("tvat-official", SearchSettings(official_batch=8)),
    "ours": ("tvat", SearchSettings()),
    "random direction": ("random", SearchSettings()),
}
SIZE = (256, 256)


def settled(images: torch.Tensor, seed: int) -> Networks:
    """Returns the authors' networks with random weights and BatchNorm statistics that fit some images."""
    config = ModelConfig(arch="psmt-deeplabv3plus", backbone="resnet50s", pretrained=False)
    networks = build_networks(
        config, [f"class {index}" for index in range(21)], teachers=("teacher1", "teacher2"), seed=seed
    )
    for module in networks.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # one pass gives the statistics of these images
    with torch.no_grad():
        for network in networks.by_role().values():
            network.train()(images)
    return networks.eval()


def main() -> None:
    """Prints the table for two random draws of the weights and three scales of the classifier."""
    data = open_data("scenes")
    images = F.interpolate(as_images([data.image(id) for id in data.ids("val")[:4]]), size=SIZE, mode="bilinear")
    print("seed classifier search               norm      KL        flips     unchanged  cosine")
    for seed, size in product(range(2), (1.0, 1e-2, 1e-4)):
        networks = settled(images, seed)
        for network in networks.by_role().values():
            network.get_parameter("classifier.weight").data *= size
        with torch.no_grad():
            z = encode_whole(networks.student, images[:1])
        before = judged(networks, ["student"], z, SIZE)["student"]
        for name, (kind, settings) in SEARCHES.items():
            record = HealthRecord(networks, [kind], settings)
            found = perturbation(networks, kind, z, SIZE, image_id="one", seed=seed, settings=settings)
            record.add(kind, found, z, SIZE, before.argmax(dim=1), eps=2.0)
            after = judged(networks, ["student"], z + found.delta, SIZE)["student"]
            flips = 100 * float((after.argmax(1) != before.argmax(1)).float().mean())
            kl = float(kl_of_logits(before.double(), after.double()))
            (health,) = record.summary().values()
            means = [f"{health[measure]['mean']:<10.4f}" for measure in ("unchanged", "cosine") if measure in health]
            norm = float(found.health.norm)
            print(f"{seed:<4} {size:<10g} {name:<20} {norm:<9.3g} {kl:<9.3g} {flips:<6.3f} %  ", *means)
            for warning in health["warnings"]:
                print(f"      {warning}")


if __name__ == "__main__":
    main()
