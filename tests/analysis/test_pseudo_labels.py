"""What pseudo-labels are worth, against a count of one pixel after the other."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from pseudo_labels import pseudo_labels

from psmt_viz import load_run
from psmt_viz.probes.evaluate import whole_logits
from psmt_viz.probes.images import labeled_images


@pytest.mark.parametrize(("fixture", "role"), [("psmt_run", "ensemble"), ("supervised_run", "student")])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.1])
def test_it_counts_pixels(request, blocks, fixture, role, threshold):
    networks, ids = load_run(request.getfixturevalue(fixture)), blocks.ids("val")[:3]
    found = pseudo_labels(networks, labeled_images(blocks, ids), threshold).set_index("class")
    truths, sure, right, labels = Counter(), Counter(), Counter(), Counter()
    for batch in labeled_images(blocks, ids, batch=1):
        with torch.no_grad():
            share = np.exp(whole_logits(networks, batch.images)[role][0].double().numpy())
        share /= share.sum(axis=0)
        for place, truth in np.ndenumerate(batch.labels[0].numpy()):
            if truth == 255:
                continue
            of = share[(slice(None), *place)]
            truths[truth] += 1
            if of.max() >= threshold:
                sure[truth] += 1
                labels[of.argmax()] += 1
                right[truth] += of.argmax() == truth
    assert bool(sure) == (threshold < 1)
    for index, name in enumerate(blocks.classes):
        ratios = {
            "pixels": (truths[index], truths.total()),
            "labels": (labels[index], labels.total()),
            "passing": (sure[index], truths[index]),
            "recall": (right[index], sure[index]),
            "precision": (right[index], labels[index]),
        }
        for column, (part, whole) in ratios.items():
            expected = part / whole if whole else math.nan
            assert found.loc[name, column] == pytest.approx(expected, nan_ok=True), (name, column)
