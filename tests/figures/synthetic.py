"""Small results that look like measured ones, drawn from fixed seeds."""

from __future__ import annotations

from io import BytesIO
from itertools import cycle, pairwise

import numpy as np
import pandas as pd
from PIL import Image

from psmt_viz.kinds import KINDS as TABLE
from psmt_viz.results import (
    ROLES,
    Cam,
    Cams,
    CloseUp,
    Curves,
    Evaluation,
    Flips,
    PixelEmbedding,
    Reliability,
    TrainingBatch,
)

VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
SCENES = ("background", "disc", "square", "triangle", "ring", "cross", "star")
CAMVID = (
    *("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist"),
)


def embedding(per_class: int = 200, flips=(7, 11), classes=VOC, labels=(0, 7, 12, 15, 19)):
    """Builds a map; `flips` are those of VAT and T-VAT, or a mapping from other kinds."""
    counts = flips if isinstance(flips, dict) else dict(zip(("vat", "tvat"), flips, strict=True))
    random = np.random.default_rng(0)
    label = np.repeat(labels, per_class)
    center = random.normal(0, 30, (len(classes), 2))[label]
    clean = center + random.normal(0, 8, (len(label), 2)) * random.uniform(0.3, 1.5, (len(label), 1))
    frame = {"image": [f"img_{i % 40}" for i in range(len(label))], "row": 3, "col": 4, "label": label}
    frame |= {"pred_clean": label, "x_clean": clean[:, 0], "y_clean": clean[:, 1]}
    for panel, count in counts.items():
        moved = clean + random.normal(0, 0.5, clean.shape)
        prediction = label.copy()
        chosen = random.choice(len(label), count, replace=False)
        prediction[chosen] = np.where(label[chosen] == labels[0], labels[1], labels[0])
        frame |= {f"pred_{panel}": prediction, f"x_{panel}": moved[:, 0], f"y_{panel}": moved[:, 1]}
    facts: dict[str, dict] = {"asked": {"eps": 2.0, "layer": "decoder.2", "perplexity": 30, "layout": "frozen"}}
    facts["used"] = {"perplexity": 30}
    facts["measured"] = {
        "relative_norm": 0.0032,
        "trustworthiness": 0.9731,
        "knn_recall": 0.412,
        "placement_error": 0.0004,
        "median_move": dict(zip(counts, cycle((0.00035, 0.0009)), strict=False)),
        "flip_rate_low": dict(zip(counts, cycle((0.0009, None)), strict=False)),
        "flip_rate_high": dict(zip(counts, cycle((0.0021, None)), strict=False)),
    }
    images = pixel_images(40, random)
    return PixelEmbedding(pixels=pd.DataFrame(frame), classes=classes, images=images, **facts)


def pixel_images(count: int, random: np.random.Generator, size: tuple[int, int] = (60, 80)) -> pd.DataFrame:
    """Pictures of one colour each, half as large as their originals."""
    rows = []
    for index in range(count):
        buffer = BytesIO()
        Image.new("RGB", (size[1] // 2, size[0] // 2), tuple(random.integers(40, 216, 3).tolist())).save(buffer, "JPEG")
        rows.append({"image": f"img_{index}", "height": size[0], "width": size[1], "jpeg": buffer.getvalue()})
    return pd.DataFrame(rows)


def _blob(height, width, y, x, radius):
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-(((rows - y * height) ** 2 + (columns - x * width) ** 2) / (2 * (radius * height) ** 2)))


def cams(count: int = 4, size: tuple[int, int] = (60, 80), classes=VOC, kinds=("vat", "tvat")):
    random = np.random.default_rng(1)
    height, width = size
    made, rows = [], []
    for index in range(count):
        y, x = random.uniform(0.35, 0.65, 2)
        blob = _blob(height, width, y, x, 0.2)
        class_id = (7 + 3 * index) % len(classes)
        truth = np.where(blob > 0.4, class_id, 0).astype(np.uint8)
        truth[(blob > 0.36) & (blob <= 0.4)] = 255
        prediction = np.where(np.roll(blob, 3, 1) > 0.45, class_id, 0).astype(np.uint8)
        image = 255 * np.clip(
            blob[..., None] * random.uniform(0.3, 1, 3) + random.uniform(0, 0.3, (height, width, 3)), 0, 1
        )
        clean = (blob * 0.02 + random.uniform(0, 0.001, size)).astype(np.float32)
        shift = 0.01 * _blob(height, width, y - 0.1, x + 0.1, 0.1).astype(np.float32)
        changed = cycle((clean * np.float32(0.93), clean * np.float32(1.04) + shift))
        maps = {"clean": clean, **dict(zip(kinds, changed, strict=False))}
        image_id = f"2007_00{index}129"
        made.append(
            Cam(
                image_id=image_id,
                class_name=classes[class_id],
                image=image.astype(np.uint8),
                truth=truth,
                prediction=prediction,
                maps=maps,
            )
        )
        row = {"image": image_id, "class": classes[class_id]}
        row |= {f"mass_{name}": float(values.sum()) for name, values in maps.items()}
        row |= {f"inside_{name}": 0.7 for name in maps}
        row |= {f"change_{name}": float(maps[name].sum() / clean.sum() - 1) for name in kinds}
        row |= {f"moved_{name}": float(abs(maps[name] - clean).sum() / clean.sum()) for name in kinds}
        rows.append(row | {f"faithfulness_{name}": 0.5 - 0.01 * index for index, name in enumerate(maps)})
    asked = {"cam_method": "gradcam", "layer": "z", "eps": 2.0}
    measured = {"relative_norm": 0.0032}
    return Cams(cams=tuple(made), classes=classes, table=pd.DataFrame(rows), asked=asked, measured=measured)


def curves(epochs: int = 30, *, name: str = "scenes 1_8", seed: int = 0, supervised: bool = False):
    random = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    frame = {"epoch": epoch, "step": epoch * 40, "learning_rate": 1e-2 * (1 - epoch / (epochs + 1)) ** 0.9}
    empty = np.full(epochs, np.nan)
    frame["unsup_weight"] = empty if supervised else 1.5 * np.exp(-5 * (1 - np.minimum(epoch / 12, 1)) ** 2)
    frame["loss_sup"] = 1.8 * np.exp(-epoch / 10) + 0.2 + random.normal(0, 0.02, epochs)
    frame["loss_unsup"] = empty if supervised else 0.5 * np.exp(-epoch / 15) + random.normal(0, 0.02, epochs)
    frame["confident_fraction"] = empty if supervised else 1 - 0.6 * np.exp(-epoch / 8)
    for index, role in enumerate(ROLES):
        scores = 0.52 * (1 - np.exp(-epoch / 7)) + 0.01 * index + random.normal(0, 0.01, epochs)
        frame[f"miou_{role}"] = empty if supervised and role != "student" else scores
    frame["pixel_accuracy_ensemble"] = empty if supervised else 0.8
    for column, start, end in (("teacher_disagreement", 0.3, 0.02), ("teacher_distance", 0.4, 0.004)):
        values = end + start * np.exp(-epoch / 5) * random.uniform(0.8, 1.2, epochs)
        frame[column] = empty if supervised else values
    ramp = {} if supervised else {"kind": "gaussian", "length": 480, "final_weight": 1.5, "total_steps": epochs * 40}
    return Curves(name=name, metrics=pd.DataFrame(frame), ramp=ramp, images_per_step=8 if supervised else 16)


def evaluation(classes=SCENES, *, roles=ROLES, seed: int = 0, **facts):
    random = np.random.default_rng(seed)
    size = len(classes)
    confusion = {}
    for role in roles:
        matrix = random.integers(0, 900, (size, size)) * (random.random((size, size)) < 0.5)
        confusion[role] = matrix + np.diag(random.integers(2_000, 40_000, size))
    facts = {"subject": {"dataset": "scenes", "split": "1_8"}} | facts
    return Evaluation(classes=tuple(classes), confusion=confusion, **facts)


KINDS = tuple(TABLE)
WARNINGS = {
    "tvat-official": [
        "the search's step leaves 97 % of the features unchanged, lost to rounding",
        "direction far from the exact one: cosine -0.02 to 0.05",
    ]
}
_RATES = {"random": 1.2e-5, "vat": 7e-4, "tvat": 7.4e-4, "tvat-official": 2e-7, "pgd": 9e-4, "dropout": 3e-5}
_OWN = {"dropout": 410.0, "feature-drop": 520.0, "feature-noise": 180.0, "cutout": 350.0}


def _counted(rate, correct, wide=0.25):
    wrong = int(min(rate, 0.6) * correct)
    share = wrong / correct if correct else np.nan
    row = {"correct_pixels": correct, "flipped_pixels": wrong, "flip_rate": share}
    high = (1 + wide) * share if wrong or not correct else 11 / correct
    return row | {"flip_rate_low": (1 - wide) * share, "flip_rate_high": high}


def flips(
    kinds=KINDS, *, judges=("student",), eps=(0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0), classes=SCENES, warnings=None
):
    """Builds every table; the last class, the farthest pixels and the least confident ones have no correct pixel."""
    tables = {name: [] for name in ("flips", "by_class", "by_distance", "by_confidence", "confusion")}
    for number, kind in enumerate(kinds):
        sizes = [("image", value) for value in eps] + [("own", value) for value in (_OWN.get(kind),) if value]
        for judge, (norm, value) in ((judge, size) for judge in judges for size in sizes):
            key = {"kind": kind, "judge": judge, "norm": norm, "eps": value}
            rate = _RATES.get(kind, 3e-4 / (1 + number)) * value * (1 + 0.2 * ROLES.index(judge))
            row = key | {"relative_norm": value / 627 * (0.02 if kind == "tvat-official" else 1)}
            row |= _counted(rate, 3_000_000) | {"kl": 4e4 * rate**2, "kl_low": 3e4 * rate**2}
            row |= {"kl_high": 6e4 * rate**2, "kl_per_pixel": rate**2, "miou": 0.5, "miou_clean": 0.51, "images": 60}
            tables["flips"].append(row)
            for index, name in enumerate(classes):
                correct = 0 if name == classes[-1] else 900_000 // (1 + index)
                tables["by_class"].append(key | {"class": name} | _counted(rate * (1 + index), correct, 0.4))
            for low, high in pairwise((1, 2, 3, 5, 9, 17, 33, np.inf)):
                correct = 0 if low == 33 else 500_000
                tables["by_distance"].append(key | {"low": low, "high": high} | _counted(6 * rate / low**2, correct))
            for low, high in pairwise((0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)):
                correct = 0 if low == 0 else 400_000
                row = key | {"low": low, "high": high} | _counted(9 * rate * (1.005 - low), correct)
                tables["by_confidence"].append(row)
            for index, truth in enumerate(classes[:-1]):
                for other in (1, 2):
                    guess, pixels = classes[(index + other) % len(classes)], 10 * (index + 1) * other + number
                    tables["confusion"].append(key | {"truth": truth, "prediction": guess, "pixels": pixels})
    measures = {"norm_over_eps": 1.0, "unchanged": 0.01, "cosine": 0.98, "gain": 1.3}
    health = {
        kind: {name: {"min": value, "mean": value, "max": value} for name, value in measures.items()}
        | {"warnings": list((warnings or {}).get(kind, ()))}
        for kind in kinds
    }
    paired = pd.DataFrame(
        [
            {"kind": kind, "judge": judge, "norm": "image", "eps": value, "against": "vat", "difference": middle}
            | {"difference_low": middle - wide, "difference_high": middle + wide, "images": 60}
            for kind, middle, wide in (("tvat", 4e-5, 3e-5), ("teacher1", -2e-5, 3e-5), ("teacher2", -5e-5, 2e-5))
            if kind in kinds and "vat" in kinds
            for judge in judges
            for value in eps
        ],
        columns=[
            "kind",
            "judge",
            "norm",
            "eps",
            "against",
            "difference",
            "difference_low",
            "difference_high",
            "images",
        ],
    )
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return Flips(**frames, paired=paired, health=health, asked={"n": 1})


def closeup(kinds=KINDS, size: tuple[int, int] = (96, 128), classes=SCENES):
    random = np.random.default_rng(4)
    blob = _blob(*size, 0.5, 0.45, 0.22)
    truth = np.where(blob > 0.5, 3, 0).astype(np.uint8)
    prediction = np.where(np.roll(blob, 2, 1) > 0.5, 3, 0).astype(np.uint8)
    truth[:2] = 255
    edge = np.flatnonzero((prediction == truth) & (np.abs(blob - 0.5) < 0.2))
    places = (size[0] // 8, size[1] // 8)
    moved, magnitude = {}, {}
    for number, kind in enumerate(kinds):
        moved[kind] = prediction.copy()
        moved[kind].flat[random.choice(edge, 3 * number, replace=False)] = 2
        peak = _blob(*places, 0.5, 0.45, 0.1 + 0.02 * number) + 1e-3
        values = random.uniform(0.5, 1, places) * (peak if kind in KINDS[:6] else 1)
        if kind == "cutout":
            values[: places[0] // 2] = 0
        magnitude[kind] = (2 * values / np.linalg.norm(values)).astype(np.float32)
    image = (255 * np.clip(blob[..., None] * [0.9, 0.6, 0.2] + random.uniform(0, 0.3, (*size, 3)), 0, 1)).astype(
        np.uint8
    )
    return CloseUp(
        image_id="0016",
        classes=tuple(classes),
        image=image,
        truth=truth,
        prediction=prediction,
        moved=moved,
        magnitude=magnitude,
        asked={"eps": 2.0, "norm": "image", "judge": "student"},
        measured={"relative_norm": 0.0032},
    )


def reliability(roles=ROLES, bins=10, images=60):
    random = np.random.default_rng(5)
    tables, rows = [], []
    for index, role in enumerate(roles):
        low = np.arange(bins) / bins
        confidence = low + 0.6 / bins
        accuracy = np.clip(confidence - 0.06 + random.normal(0, 0.01, bins), 0, 1)
        pixels = (1000 * 1.9 ** np.arange(bins)).astype(int) * (low >= 0.2)  # no pixel is so unsure
        table = {"role": role, "low": low, "high": low + 1 / bins, "pixels": pixels}
        table |= {"correct_pixels": (accuracy * pixels).astype(int), "confidence": confidence, "accuracy": accuracy}
        table |= {"accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.03}
        table = pd.DataFrame(table)
        table.loc[table["pixels"] == 0, ["confidence", "accuracy", "accuracy_low", "accuracy_high"]] = np.nan
        tables.append(table)
        error = 0.06 + 0.003 * index
        row = {"role": role, "ece": error, "ece_low": error - 0.011, "ece_high": error + 0.012}
        rows.append(row | {"confidence": 0.87, "accuracy": 0.81, "pixels": int(pixels.sum())})
    asked = {"part": "val", "bins": bins, "seed": 0}
    return Reliability(
        bins=pd.concat(tables, ignore_index=True), roles=pd.DataFrame(rows), asked=asked, used={"images": images}
    )


def batch(count: int = 4, size: tuple[int, int] = (48, 64), classes=VOC):
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    ids = np.zeros((count, *size), np.uint8)
    for index in range(count):
        ids[index][_blob(*size, *random.uniform(0.3, 0.7, 2), 0.2) > 0.5] = 3 + 4 * index % (len(classes) - 3)
    ids[:, :4] = 255
    columns = {"weak view": images, "strong view": images[:, :, ::-1], "truth": ids, "pseudo-label": ids}
    confidence = random.uniform(0.3, 1, (count, *size)).astype(np.float32)
    return TrainingBatch(classes=classes, columns=columns, confidence=confidence)
