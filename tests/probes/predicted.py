"""What a student predicts, the slow way: image by image."""

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from psmt_viz.models.networks import Networks


def students(networks: Networks, data: Any) -> dict[str, np.ndarray]:
    """The student's prediction of each validation image."""
    found = {}
    for id in data.ids("val"):
        pixels = torch.from_numpy(data.image(id).copy()).permute(2, 0, 1)[None].float() / 255
        size = pixels.shape[-2:]
        padded = [8 * math.ceil(length / 8) for length in size]
        with torch.no_grad():
            logits = networks.student(F.interpolate(pixels, size=padded, mode="bilinear", align_corners=True))
        found[id] = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)[0].argmax(dim=0).numpy()
    return found


def counted(networks: Networks, data: Any) -> dict[str, int]:
    predicted = students(networks, data)
    return {
        name: sum(int(((data.label(id) == index) & (guess == index)).sum()) for id, guess in predicted.items())
        for index, name in enumerate(networks.classes)
    }
