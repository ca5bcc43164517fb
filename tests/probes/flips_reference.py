"""Flips, KL and scores by a direct computation, and networks from elsewhere to try it on."""

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from psmt_viz.models import Networks
from psmt_viz.perturb import adversarial_perturbation, projected_ascent
from psmt_viz.seeds import derived_seed

EPS = (2.0, 8.0)
SEED = 3
JUDGES = ("student", "teacher1", "teacher2", "ensemble")
DISTANCES = (1, 2, 3, 5, 9, 17, 33, math.inf)
CONFIDENCES = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


def stretched(values: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(values, size=size, mode="bilinear", align_corners=True)


def brute_distance(labels: np.ndarray) -> np.ndarray:
    """To the nearest pixel of another class, by a look at every pair."""
    rows, columns = (values.ravel() for values in np.indices(labels.shape))
    flat = labels.ravel()
    squares = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    other = (flat[:, None] != flat) & (flat != 255)
    nearest = np.where(other, squares, np.iinfo(squares.dtype).max).min(axis=1)
    return np.sqrt(nearest).reshape(labels.shape)


class Reference:
    """Perturbs and measures each image on its own, in the plainest way."""

    def __init__(self, networks: Any, data: Any) -> None:
        self.networks, self.data = networks, data
        self.images = [self._encoded(id) for id in data.ids("val")]

    def _encoded(self, id: str) -> dict[str, Any]:
        label = self.data.label(id)
        padded = tuple(8 * math.ceil(length / 8) for length in label.shape)
        pixels = torch.from_numpy(self.data.image(id)[None].copy()).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            z = self.networks.student.encode(stretched(pixels, padded))
        found = {"id": id, "label": label, "z": z, "size": label.shape, "padded": padded}
        found["before"] = {judge: self.logits(judge, z, found) for judge in JUDGES}
        return found | {"distance": brute_distance(label)}

    def predict(self, role: str, z: Tensor, image: dict[str, Any]) -> Tensor:
        asked = {
            "student": [self.networks.student],
            "teacher1": [self.networks.teachers["teacher1"]],
            "teacher2": [self.networks.teachers["teacher2"]],
            "ensemble": list(self.networks.teachers.values()),
        }[role]
        mean = sum(network.decode(z, image["padded"]) for network in asked) / len(asked)
        return stretched(mean, image["size"])

    def logits(self, role: str, z: Tensor, image: dict[str, Any]) -> np.ndarray:
        with torch.no_grad():
            return self.predict(role, z, image)[0].double().numpy()

    @cache  # noqa: B019
    def delta(self, kind: str, eps: float | None, place: int) -> Tensor:
        """The perturbation of norm eps, or of a feature kind's own size."""
        image = self.images[place]
        z = image["z"]
        generator = torch.Generator().manual_seed(derived_seed(SEED, "noise", image["id"]))
        if kind == "random":
            change = torch.randn(z.shape, generator=generator)
        elif kind == "dropout":
            change = torch.where(torch.rand(z.shape[1], 1, 1, generator=generator) < 0.5, -z, z)
        elif kind == "feature-noise":
            change = z * (torch.rand(z.shape[1:], generator=generator) * 2 - 1) * 0.3
        else:
            role = {"tvat": "ensemble", "vat": "student", "pgd": "student"}.get(kind, kind)

            def predict(values: Tensor) -> Tensor:
                return self.predict(role, values, image)

            change = adversarial_perturbation(predict, z, eps=eps or 1.0, generator=generator).delta
            return change if kind != "pgd" else projected_ascent(predict, z, start=change, eps=eps or 1.0).delta
        return change if eps is None else eps * (change / torch.linalg.vector_norm(change))

    @cache  # noqa: B019
    def measured(self, kind: str, eps: float | None, judge: str) -> list[dict[str, Any]]:
        rows = []
        for place, image in enumerate(self.images):
            delta = self.delta(kind, eps, place)
            before, after = image["before"][judge], self.logits(judge, image["z"] + delta, image)
            p, q = (np.exp(v - v.max(axis=0)) / np.exp(v - v.max(axis=0)).sum(axis=0) for v in (before, after))
            was, now, label = before.argmax(axis=0), after.argmax(axis=0), image["label"]
            rows.append(
                {
                    "label": label,
                    "was": was,
                    "now": now,
                    "right": was == label,
                    "flipped": (was == label) & (now != label),
                    "distance": image["distance"],
                    "confidence": p.max(axis=0),
                    "kl": float((p * (np.log(p) - np.log(q))).sum()),
                    "norm": float(delta.double().norm()),
                    "relative_norm": float(delta.double().norm() / image["z"].double().norm()),
                }
            )
        return rows


def counts(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.array([row[key].sum() for row in rows])


def pick(table: pd.DataFrame, kind: str, judge: str, eps: float | None) -> pd.DataFrame:
    size = table["norm"] == "own" if eps is None else (table["norm"] == "image") & (table["eps"] == eps)
    found = table[(table["kind"] == kind) & (table["judge"] == judge) & size]
    assert len(found)
    return found.reset_index(drop=True)


class Two(nn.Module):
    """A foreign network of two layers."""

    multiple = 8

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 5, 8, stride=8), nn.Conv2d(5, classes, 1)

    def encode(self, images: Tensor) -> Tensor:
        return self.body(images).tanh()

    def decode(self, z: Tensor, size: Any) -> Tensor:
        return F.interpolate(self.head(z), size=tuple(size))


def foreign(*classes: int) -> Networks:
    torch.manual_seed(1)
    student, *teachers = (Two(each) for each in classes)
    return Networks(student, teachers, classes=("background", "red", "green", "blue", "yellow", "white"))
