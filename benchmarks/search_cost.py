"""Cost of a search for a perturbation, and accuracy of its direction: finite difference against exact, fp32 and bf16.

Command:  python -m benchmarks.search_cost [RUN] [--data DIR] [--images N]
Cost:     on 2 cores half a minute for the shipped run.
Expected: a table with the time of each search over that of one forward and backward pass of the same decoders,
          measured in pairs in one process, and the lowest cosine to the exact direction in float64.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch.nn import functional as F

from benchmarks.pairs import Section, spread
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import Predict, adversarial_perturbation, exact_cosine, frozen
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.kinds import predictor
from psmt_viz.search import Search
from psmt_viz.subject import RunSubject

ROLES = {"student": "VAT", "ensemble": "T-VAT"}


def forward_backward(predict: Predict, z: torch.Tensor) -> None:
    """One pass through the decoders and back to z."""
    leaf = z.detach().requires_grad_()
    F.log_softmax(predict(leaf), dim=1).square().sum().backward()


def seconds(work: Callable[[], object]) -> float:
    """Returns how long a piece of work takes."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measured(subject: RunSubject, reference: Networks, role: str, search: Search, options: Any) -> tuple[list, list]:
    """Returns the cost ratios and the cosines of one search, over images, in the precision of autocast."""
    ratios, cosines = [], []
    for image in labeled_images(
        subject.data, subject.data.ids("val")[: options.images], batch=1, device=subject.device
    ):
        with torch.no_grad():
            z = encode_whole(subject.networks.student, image.images).float()  # as training does
        predict, exact = (predictor(of, role, image.size) for of in (subject.networks, reference))
        once = partial(forward_backward, predict, z)
        searched = partial(adversarial_perturbation, predict, z, search=search)
        with frozen(subject.networks, reference):
            ratios += [seconds(searched) / seconds(once) for _ in range(options.repeats)]
            found = searched()
            with torch.autocast(z.device.type, enabled=False):
                cosines.append(float(exact_cosine(exact, z.cpu().double(), found)))
    return ratios, cosines


def measure(words: Sequence[str] = ("--images", "8")) -> list[Section]:
    """Measures every search in both precisions; takes the command's words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(words)
    subject = RunSubject.open(options.run, data=options.data, weights="last", device=options.device)
    reference = copy.deepcopy(subject.networks).cpu().double()
    rows = []
    for (role, title), search, bf16 in product(ROLES.items(), get_args(Search), (False, True)):
        with torch.autocast(subject.device.partition(":")[0], torch.bfloat16, enabled=bf16):
            ratios, cosines = measured(subject, reference, role, search, options)
        precision = "bf16 autocast" if bf16 else "fp32"
        row = {"kind": title, "search": search, "precision": precision, "cost": spread(ratios)}
        rows.append(row | {"lowest cosine": f"{min(cosines):.5f}"})
    about = (
        f"{subject.name}, {options.images} images on {subject.device}. *cost*: of a search over that of a forward and "
        "backward pass of the same decoders, median and range; *lowest cosine*: to the exact direction in float64."
    )
    return [Section(title="Cost and direction of a search", about=about, table=pd.DataFrame(rows))]


def main() -> None:
    """Prints the table."""
    for section in measure(sys.argv[1:]):
        print(f"{section.about}\n{section.table.to_string(index=False)}")


if __name__ == "__main__":
    main()
