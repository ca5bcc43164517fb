"""Small results that look like measured ones, drawn from fixed seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from psmt_viz.results import ROLES, Cam, Cams, Curves, Evaluation, Flips, PixelEmbedding, TrainingBatch

VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
SCENES = ("background", "disc", "square", "triangle", "ring", "cross", "star")
CAMVID = (
    *("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist"),
)


def embedding(per_class: int = 200, flips: tuple[int, int] = (7, 11), classes=VOC, labels=(0, 7, 12, 15, 19)):
    random = np.random.default_rng(0)
    label = np.repeat(labels, per_class)
    center = random.normal(0, 30, (len(classes), 2))[label]
    clean = center + random.normal(0, 8, (len(label), 2)) * random.uniform(0.3, 1.5, (len(label), 1))
    frame = {"image": [f"img_{i % 40}" for i in range(len(label))], "row": 3, "col": 4, "label": label}
    frame |= {"pred_clean": label, "x_clean": clean[:, 0], "y_clean": clean[:, 1]}
    for panel, count in zip(("vat", "tvat"), flips, strict=True):
        moved = clean + random.normal(0, 0.5, clean.shape)
        prediction = label.copy()
        chosen = random.choice(len(label), count, replace=False)
        prediction[chosen] = np.where(label[chosen] == labels[0], labels[1], labels[0])
        frame |= {f"pred_{panel}": prediction, f"x_{panel}": moved[:, 0], f"y_{panel}": moved[:, 1]}
    parameters = {
        "eps": 2.0,
        "relative_norm": 0.0032,
        "layer": "decoder.2",
        "perplexity": 30,
        "trustworthiness": 0.9731,
    }
    return PixelEmbedding(pixels=pd.DataFrame(frame), classes=classes, parameters=parameters)


def _blob(height, width, y, x, radius):
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-(((rows - y * height) ** 2 + (columns - x * width) ** 2) / (2 * (radius * height) ** 2)))


def cams(count: int = 4, size: tuple[int, int] = (60, 80), classes=VOC):
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
        maps = {"clean": clean, "vat": clean * np.float32(0.93), "tvat": clean * np.float32(1.04)}
        image_id = f"2007_00{index}129"
        made.append(
            Cam(
                image_id=image_id,
                class_name=classes[class_id],
                image=image.astype(np.uint8),
                truth=truth,
                prediction=prediction,
                **maps,
            )
        )
        row = {"image": image_id, "class": classes[class_id]}
        row |= {f"mass_{name}": float(values.sum()) for name, values in maps.items()}
        rows.append(row | {f"inside_{name}": 0.7 for name in maps})
    return Cams(cams=tuple(made), classes=classes, table=pd.DataFrame(rows), parameters={"eps": 2.0})


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
    ramp = {} if supervised else {"kind": "gaussian", "length": 480, "final_weight": 1.5, "total_steps": epochs * 40}
    return Curves(name=name, metrics=pd.DataFrame(frame), ramp=ramp)


def evaluation(classes=SCENES, *, roles=ROLES, seed: int = 0, parameters=None):
    random = np.random.default_rng(seed)
    size = len(classes)
    confusion = {}
    for role in roles:
        matrix = random.integers(0, 900, (size, size)) * (random.random((size, size)) < 0.5)
        confusion[role] = matrix + np.diag(random.integers(2_000, 40_000, size))
    parameters = {"dataset": "scenes", "split": "1_8"} if parameters is None else parameters
    return Evaluation(classes=tuple(classes), confusion=confusion, parameters=parameters)


def flips(kinds=("random", "vat", "tvat", "vat-4", "tvat-4", "tvat-official", "dropout"), *, judges=("student",)):
    rates = {"random": 1.2e-5, "vat": 7e-4, "tvat": 7.4e-4, "vat-4": 9e-4, "tvat-4": 8.6e-4, "tvat-official": 2e-7}
    rows = []
    for kind in kinds:
        for judge in judges:
            for eps in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
                wrong = int(rates.get(kind, 3e-4) * eps * 3_000_000)
                rate = wrong / 3_000_000
                relative = eps / 627 * (0.02 if kind == "tvat-official" else 1)
                row = {"kind": kind, "judge": judge, "norm": "image", "eps": eps, "relative_norm": relative}
                row |= {"flip_rate": rate, "flip_rate_low": 0.8 * rate, "flip_rate_high": 1.25 * rate, "kl": 3.0}
                row |= {"kl_per_pixel": 1e-4, "miou": 0.5, "images": 60}
                rows.append(row | {"correct_pixels": 3_000_000, "flipped_pixels": wrong})
    by_class = pd.DataFrame(
        [{"kind": "vat", "judge": "student", "eps": 2.0, "class": "disc", "correct_pixels": 9, "flipped_pixels": 1}]
    )
    return Flips(flips=pd.DataFrame(rows), by_class=by_class, health={"vat": {"2": {"norm": 2.0}}}, parameters={"n": 1})


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
