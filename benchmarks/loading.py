"""How fast training images are loaded: as it is, and as it was with torchvision's colours and a process pool a loader.

python -m benchmarks loading
BENCHMARK_IMAGES=~/VOC2012 python -m benchmarks loading    # files of a folder in Pascal VOC's layout, not made here
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tests.data.torchvision_colors import recolored
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vf

from benchmarks.pairs import Section, in_turn, spread
from psmt_viz.data import loader as loader_module
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.feed import Feed
from psmt_viz.data.loader import InfiniteLoader
from psmt_viz.data.opening import open_data
from psmt_viz.data.views import MEAN_COLOUR, Views, draw_colors, draw_geometry
from psmt_viz.methods.settings import VIEWS
from psmt_viz.metrics import IGNORE
from psmt_viz.presets import configure
from psmt_viz.seeds import derived_seed
from psmt_viz.train.loaders import open_loaders
from psmt_viz.train.plan import resolve

STEPS, STEP_SECONDS = 6, 1.0
VOC_IMAGES, MANY_IMAGES = 10_582, 100_000


def measure() -> list[Section]:
    """Measures one core, a step that waits, and a hundred thousand files."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(Path(folder) / "sources")
        voc = open_data(str(_linked(Path(folder) / "voc", sources, VOC_IMAGES)))
        sections = [_one_core(voc), _waiting(voc)]
        many = open_data(str(_linked(Path(folder) / "many", sources, MANY_IMAGES)))
        return [*sections, _many(many)]


def _one_core(data: SegmentationData) -> Section:
    reader, count = _labeled(data), 32
    steps = iter(range(10**9))

    def load() -> None:
        reader.batch(next(steps))

    def load_as_before() -> None:
        with _reference():
            reader.batch(next(steps))

    table = in_turn({"torchvision": load_as_before, "now": load}, unit=count * 1e-3)
    return Section(
        title="Loading on one core",
        about="Milliseconds of an image with its mask, read and turned into both views of 512 x 512 pixels, in "
        f"batches of {count} images of {_origin()}.",
        table=table,
    )


def _waiting(data: SegmentationData) -> Section:
    config = configure("voc", {"data": str(data), "split": "1_8", "cache": "off"})
    split = data.split("1_8")
    plan = resolve(config, split)
    first, names = plan.warmup_steps, config.method.loaders(warmup=False)
    rows = []
    for workers in (0, 1, 2):
        loaders = open_loaders(config, plan, data, split)
        with _reference():
            apart = [_feed({name: loaders[name]}, {name: VIEWS}, workers) for name in names]
            before = _waits(apart, first)
        together = [_feed(loaders, names, workers)]
        for way, waits in (("before", before), ("now", _waits(together, first))):
            row = {"workers": workers, "way": way, "first step": f"{waits[0]:.2f}", "others": spread(waits[1:])}
            rows.append(row | {"mean of all": f"{np.mean(waits):.2f}"})
    return Section(
        title="Steps that wait for images",
        about=f"Seconds for which a step of the preset `voc` (32 + 32 images, a folder of {VOC_IMAGES:,}) waits for "
        f"its batches, when the step itself sleeps for {STEP_SECONDS:g} s; {STEPS} steps, the first with the start of "
        f"the processes, on {len(os.sched_getaffinity(0))} cores. Before, each loader had processes of its own, and "
        "both views were made of all images.",
        table=pd.DataFrame(rows),
    )


def _many(data: Any) -> Section:
    ids, epoch = data.ids("train"), 0
    reader = _labeled(data)
    draws = iter(range(10**9))

    def draw() -> None:
        for _ in range(1000):
            reader.ids(next(draws))

    def draw_as_before() -> None:
        for number in range(32):
            ids[np.random.default_rng(derived_seed(0, "order", epoch)).permutation(len(ids))[number]]

    fingerprints = in_turn({"a question a file": partial(_asked_one_by_one, data), "now": data.fingerprint}, repeats=3)
    drawn = pd.concat(
        [
            in_turn({"a permutation a draw": draw_as_before}, unit=32e-3),
            # Among them the first after an epoch's end.
            in_turn({"now": draw}, unit=32_000e-3),
        ]
    )
    assert _asked_one_by_one(data) == data.fingerprint()["sha256"]
    table = pd.concat(
        [fingerprints.assign(what="fingerprint, s"), drawn.assign(what="one draw, ms")], ignore_index=True
    )
    return Section(
        title=f"{MANY_IMAGES:,} images",
        about="The fingerprint that every start of a training takes, and the choice of an image.",
        table=table[["what", "way", "CPU", "wall"]],
    )


def _labeled(data: SegmentationData) -> InfiniteLoader:
    views = configure("voc", {"data": "none"}).views
    return InfiniteLoader(data, data.ids("train"), labeled=True, views=views, batch=32, seed=0, name="labeled")


def _feed(loaders: Mapping[str, InfiniteLoader], needs: Mapping[str, Any], workers: int) -> Feed:
    return Feed(loaders, lambda _: needs, steps=10**9, workers=workers)


def _waits(feeds: list[Feed], first: int) -> list[float]:
    found = []
    for step in range(first, first + STEPS):
        start = time.perf_counter()
        for feed in feeds:
            feed.batches(step)
        found.append(time.perf_counter() - start)
        time.sleep(STEP_SECONDS)
    for feed in feeds:
        feed.close()
    return found


@contextmanager
def _reference() -> Iterator[None]:
    """Has loaders make views as `_reference_views` does."""
    ours, loader_module.draw_views = loader_module.draw_views, _reference_views  # type: ignore[assignment]
    try:
        yield
    finally:
        loader_module.draw_views = ours


def _reference_views(image: Tensor, label: Tensor, config: Any, *, seed: int, views: Any = VIEWS) -> Views:
    """Views by torch and torchvision alone, both of them whoever looks at them."""
    generator = torch.Generator().manual_seed(seed)
    height, width = image.shape[-2:]
    geometry = draw_geometry((height, width), config, generator)
    pixels = vf.resize(image, list(geometry.size), interpolation=InterpolationMode.BICUBIC, antialias=True)
    rows, columns = (
        (torch.arange(new, dtype=torch.float64) * (1 / (new / old))).long().clamp(max=old - 1)
        for old, new in zip(label.shape, geometry.size, strict=True)
    )
    mask = label[rows][:, columns]
    below, right = (max(0, config.crop - side) for side in geometry.size)
    pixels = vf.pad(pixels, [0, 0, right, below], fill=[float(level) for level in MEAN_COLOUR])
    mask = vf.pad(mask[None], [0, 0, right, below], fill=IGNORE)[0]
    window = (..., slice(geometry.top, geometry.top + config.crop), slice(geometry.left, geometry.left + config.crop))
    weak, mask = pixels[window], mask[window]
    if geometry.mirrored:
        weak, mask = weak.flip(-1), mask.flip(-1)
    strong = recolored(weak, draw_colors(config, generator))
    images = {"weak": weak.contiguous(), "strong": strong.contiguous()}
    return Views(images={name: images[name] for name in views}, label=mask.contiguous())


def _asked_one_by_one(data: Any) -> str:
    """A folder's fingerprint by a question to the disk for each file and suffix."""
    root, lines = data.root, []
    masks = next(name for name in ("SegmentationClass", "SegmentationClassAug") if (root / name).is_dir())
    for part in ("train", "val"):
        for id in data.ids(part):
            images = [root / "JPEGImages" / f"{id}{suffix}" for suffix in (".jpg", ".jpeg", ".png")]
            paths = (next(path for path in images if path.is_file()), root / masks / f"{id}.png")
            lines += [(path.relative_to(root).as_posix(), path.stat().st_size) for path in paths if path.is_file()]
    return hashlib.sha256("\n".join(f"{name}\t{size}" for name, size in sorted(lines)).encode()).hexdigest()


def _origin() -> str:
    given = os.environ.get("BENCHMARK_IMAGES")
    return Path(given).expanduser().resolve().name if given else "500 x 375 pixels that are made here"


def _sources(folder: Path) -> list[tuple[Path, Path]]:
    """Returns pairs of an image and a mask: copies of those of a folder, or made here."""
    folder.mkdir()
    given = os.environ.get("BENCHMARK_IMAGES")
    if given is None:
        return [_made(folder, number) for number in range(64)]
    images = sorted((Path(given).expanduser() / "JPEGImages").glob("*.jpg"))[:400]
    pairs = [(image, image.parents[1] / "SegmentationClass" / f"{image.stem}.png") for image in images]
    return [(Path(shutil.copy(a, folder)), Path(shutil.copy(b, folder))) for a, b in pairs if b.is_file()]


def _made(folder: Path, number: int) -> tuple[Path, Path]:
    """A photograph's size in bytes, more or less: smooth colours and some noise."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(
        (500, 375), Image.Resampling.BICUBIC
    )
    fine = np.asarray(coarse) + rng.normal(0, 12, (375, 500, 3))
    image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
    Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(image, quality=92)
    ids = rng.choice(np.array([0, 0, 0, 5, 12, 15, 255], np.uint8), (8, 10))
    labels = Image.fromarray(ids).resize((500, 375), Image.Resampling.NEAREST)
    labels.putpalette(list(range(256)) * 3)
    labels.save(mask)
    return image, mask


def _linked(root: Path, sources: list[tuple[Path, Path]], count: int) -> Path:
    """Makes a folder in Pascal VOC's layout of hard links."""
    lists = root / "ImageSets" / "Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", lists):
        folder.mkdir(parents=True)
    ids = [f"image_{number:06d}" for number in range(count + 1)]
    for id, (image, mask) in zip(ids, cycle(sources), strict=False):
        os.link(image, root / "JPEGImages" / f"{id}.jpg")
        os.link(mask, root / "SegmentationClass" / f"{id}.png")
    (lists / "train.txt").write_text("\n".join(ids[:-1]))
    (lists / "val.txt").write_text(ids[-1])
    return root
