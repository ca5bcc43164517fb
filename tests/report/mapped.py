"""A map of pixels in pictures that differ everywhere, so that a card with the wrong crop is seen."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image

from psmt_viz.results import PixelEmbedding
from tests.figures import synthetic

SIZE = (96, 128)
"""Height and width of the originals; every third is stored half as large."""
LABELS = (0, 1, 2, 4, 5)


VAT_AND_TVAT = {"vat": 40, "tvat": 55}
"""Panel -> flipped pixels."""


def embedding(
    per_class: int = 5000,
    images: int = 128,
    *,
    layout: str = "frozen",
    classes=synthetic.SCENES,
    ids=None,
    panels=VAT_AND_TVAT,
):
    random = np.random.default_rng(11)
    names = list(ids or [f"val_{index:04d}" for index in range(images)])
    label = np.repeat(LABELS, per_class)
    count = len(label)
    frame = {
        "image": np.array(names, dtype=object)[random.integers(0, len(names), count)],
        "row": random.integers(0, SIZE[0], count),
        "col": random.integers(0, SIZE[1], count),
        "label": label,
        "pred_clean": label,
    }
    clean = random.normal(0, 25, (len(classes), 2))[label] + random.normal(0, 9, (count, 2))
    wrong = np.empty(0, int)
    for panel, flips in (("clean", 0), *panels.items()):
        moved = clean + random.normal(0, 0.4, clean.shape) * (panel != "clean")
        frame |= {f"x_{panel}": moved[:, 0], f"y_{panel}": moved[:, 1]}
        prediction = label.copy()
        shared = wrong[: len(wrong) // 2]  # half of those before are flipped again
        others = np.setdiff1d(np.arange(count), wrong)
        wrong = np.append(shared, random.choice(others, min(flips, count // 4) - len(shared), replace=False))
        prediction[wrong] = (prediction[wrong] + 1) % len(classes)
        frame[f"pred_{panel}"] = prediction
    asked = {"eps": 2.0, "layer": "z", "layout": layout, "perplexity": 30.0}
    measured = {
        "relative_norm": 0.0093,
        "placement_error": 0.00018,
        "median_move": {"vat": 0.00015, "tvat": 0.0002},
        "flip_rate_low": {"clean": 0.0, "vat": 0.0011, "tvat": 0.0016},
        "flip_rate_high": {"clean": 0.0, "vat": 0.0022, "tvat": None},
    }
    pictures = _pictures(names, random)
    return PixelEmbedding(
        pixels=pd.DataFrame(frame),
        classes=tuple(classes),
        images=pictures,
        asked=asked,
        used={"perplexity": 30.0},
        measured=measured,
    )


def _pictures(names: list[str], random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for index, name in enumerate(names):
        factor = 2 if index % 3 == 0 else 1
        small = random.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((SIZE[1] // factor, SIZE[0] // factor), Image.Resampling.BICUBIC)
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        rows.append({"image": name, "height": SIZE[0], "width": SIZE[1], "jpeg": buffer.getvalue()})
    return pd.DataFrame(rows)
