"""Stand-ins for what is on a user's disk, at the places that the pages name."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psmt_viz.cli import main
from psmt_viz.data.voc import VOC_CLASSES
from tests.commands import Outcome, blank_figures
from tests.pages import documented


@dataclass
class Place:
    """A user's disk."""

    home: Path
    """What `~` is."""
    things: dict[str, Path]
    """Path on the pages, relative to where the user works -> what is there."""
    made: tuple[object, Outcome]
    """What made the saved results, and what it said."""

    def put(self, words: list[str], folder: Path) -> None:
        """Copies into a folder what words name there, or lies above or beside what they name."""
        for name, thing in self.things.items():
            stem = name.removesuffix(".py")
            if any(word == name or word.startswith((f"{name}/", f"{stem}:")) for word in words):
                copy = shutil.copytree if thing.is_dir() else shutil.copy2
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                copy(thing, folder / name, **({"dirs_exist_ok": True} if thing.is_dir() else {}))
                if name == "my_models.py":
                    for weights in thing.parent.glob("*.pt"):
                        shutil.copy2(weights, folder)


def furnished(home: Path, shelf: Path, *, psmt_run: Path, supervised_run: Path, blocks_folder: Path) -> Place:
    """A disk with everything that the pages name.

    Args:
        home: An empty folder.
        shelf: Another, from which things are put where a user works.
        psmt_run: A run.
        supervised_run: One of the control.
        blocks_folder: A folder of images.
    """
    (home / "data").mkdir()
    (home / "data" / "mine").symlink_to(blocks_folder)
    shutil.copytree(blocks_folder, home / "VOC2012")
    (home / "VOC2012" / "classes.txt").write_text("\n".join(VOC_CLASSES))
    _write_slides(blocks_folder, home / "data" / "slides")
    _write_cityscapes(home / "cityscapes")
    things = {"runs/mine": psmt_run, "runs/supervised": supervised_run}
    for seed in range(3):
        things[f"runs/scenes-{seed}"] = _with_seed(psmt_run, shelf / f"scenes-{seed}", seed)
    things["runs/kept"] = shutil.copytree(psmt_run, shelf / "kept")
    shutil.copy2(shelf / "kept" / "last.safetensors", shelf / "kept" / "epoch-0002.safetensors")
    things["runs/official"] = _trained_on_voc(home / "VOC2012", shelf / "official")
    things["lists"] = _lists(blocks_folder, shelf / "lists")
    things |= _own_files(blocks_folder, shelf)
    saved = shelf / "saved"
    words = documented.smaller(["psmt-viz", "figures"])
    arguments = [str(psmt_run) if word == "runs/mine" else word for word in words[1:]]
    outcome = quietly(*arguments, "--out", str(saved))
    made = (documented.meaning(words), replace(outcome, out=outcome.out.replace(str(saved), ".")))
    return Place(home, things | dict.fromkeys(documented.SAVED, saved), made)


def quietly(*arguments: str) -> Outcome:
    """Runs a command outside a test."""
    out, err = io.StringIO(), io.StringIO()
    with quick_work(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    assert status == 0, err.getvalue()
    return Outcome(status, out.getvalue(), err.getvalue())


def _write_cityscapes(root: Path) -> None:
    """Draws 8 + 2 images of 64 x 48 pixels in which every class occurs."""
    random = np.random.default_rng(0)
    for part, city, count in (("train", "aachen", 8), ("val", "munster", 2)):
        for folder in ("leftImg8bit", "gtFine"):
            (root / folder / part / city).mkdir(parents=True)
        for number in range(count):
            name = f"{city}_{number:06d}_000019"
            image = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            label = np.repeat(random.permutation(np.resize(np.arange(34), 48)).astype(np.uint8)[:, None], 64, axis=1)
            Image.fromarray(image).save(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png")
            Image.fromarray(label).save(root / "gtFine" / part / city / f"{name}_gtFine_labelIds.png")


def _write_slides(data: Path, folder: Path) -> None:
    """Copies images and masks into folders of other names, in which they share a number alone."""
    for place, name in (("JPEGImages", "scans/scan{}.png"), ("SegmentationClass", "expert/{}_of_two.png")):
        for number, path in enumerate(sorted((data / place).iterdir())):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name.format(number))
    shutil.copy2(data / "classes.txt", folder)


def _with_seed(run: Path, folder: Path, seed: int) -> Path:
    shutil.copytree(run, folder)
    facts = json.loads((folder / "config.json").read_text())
    facts["config"]["system"]["seed"] = seed
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def _trained_on_voc(data: Path, folder: Path) -> Path:
    """A run of Pascal VOC's classes, as an imported one is."""
    quietly(*documented.smaller(["psmt-viz", "train"])[1:], "--data", str(data), "--out", str(folder))
    return folder


def _lists(data: Path, folder: Path) -> Path:
    ids = (data / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    folder.mkdir()
    (folder / "labeled.txt").write_text("\n".join(ids[:4]))
    (folder / "unlabeled.txt").write_text("\n".join(ids[4:]))
    return folder


def _own_files(data: Path, folder: Path) -> dict[str, Path]:
    """Writes the modules of the pages, and weights for the networks of one, trained for a second each."""
    for name, code in documented.files().items():
        (folder / name).write_text(code)
    spec = importlib.util.spec_from_file_location("own_models", folder / "my_models.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import torch

    from psmt_viz.data import VocFolder
    from psmt_viz.models.inference import as_images

    blocks = VocFolder(data)
    pairs = [(as_images([blocks.image(id)]), torch.from_numpy(blocks.label(id)).long()[None]) for id in
             blocks.ids("train")[:3]]  # fmt: skip
    for seed, name in enumerate(("student", "teacher1", "teacher2")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = module.Mine()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
        for images, labels in pairs * 25:
            logits = network.decode(network.encode(images), labels.shape[-2:])
            loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.save(network.state_dict(), folder / f"{name}.pt")
    return {name: folder / name for name in documented.files()}


@contextlib.contextmanager
def quick_work() -> Iterator[None]:
    """Empty pictures in place of figures, and maps of a few iterations; both are looked at elsewhere."""
    import openTSNE

    with blank_figures(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(openTSNE, "TSNE", partial(openTSNE.TSNE, early_exaggeration_iter=10, n_iter=20))
        yield
