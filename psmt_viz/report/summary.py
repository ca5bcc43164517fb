"""The key numbers, in words and as small tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from psmt_viz.figures.kinds import judge_of
from psmt_viz.figures.shares import counted, interval, percents
from psmt_viz.figures.tsne_words import flips_by, flips_by_panel
from psmt_viz.figures.words import (
    FEATURES,
    INTERVAL,
    eps_words,
    kind_phrase,
    kind_words,
    listed,
    panel_words,
    role_words,
)
from psmt_viz.kinds import PAPER_EPS, SHOWN
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.results import Evaluation, Flips, PixelEmbedding, Saved, ScoreTable
from psmt_viz.roles import role_of

_COLUMNS = {"ensemble": "ensemble", "teacher1": "single_teacher"}
"""Networks of which numbers are published, and where Table 1 has them."""


def key_numbers(saved: Saved) -> list[str]:
    """Returns the scores and the flips in words, one sentence each, of the results that there are."""
    found = (_scores(saved.get(Evaluation)), _flips(saved.get(Flips)))
    return [made[0] for made in found if made is not None]


def summary_section(saved: Saved) -> Section | None:
    """Returns the key numbers, in words and as small tables; none where no result has one."""
    paragraphs, tables = [], []
    found = (_scores(saved.get(Evaluation)), _flips(saved.get(Flips)), _pixels(saved.get(PixelEmbedding)))
    for made in found:
        if made is not None:
            paragraphs.append(made[0])
            tables.append(made[1])
    if not tables:
        return None
    return Section(
        id="summary", title="Key numbers", paragraphs=tuple(paragraphs), tables=tuple(tables), part="tables.html"
    )


def _scores(evaluation: Evaluation | None) -> tuple[str, Table] | None:
    if evaluation is None:
        return None
    scores = {str(role): 100 * float(value) for role, value in evaluation.table().set_index("role")["miou"].items()}
    named = [f"{role_words(role)} {score:.2f} %" for role, score in scores.items()]
    words = f"Validation mIoU: {listed(named)}."
    published = _published(evaluation)
    columns = ["role", "mIoU"]
    rows: list[list[str | None]] = [[role_of(role).label, f"{score:.2f} %"] for role, score in scores.items()]
    if published is not None:
        words += f" The published numbers are those of {published['run']} on {published['dataset']}."
        columns.append(f"published, split {published['split']}")
        values = {role: f"{published[name]:.2f} %" for role, name in _COLUMNS.items()}
        rows = [[*row, values.get(role)] for role, row in zip(scores, rows, strict=True)]
    return words, make_table("mIoU of each role", columns, rows)


def _published(evaluation: Evaluation) -> pd.Series | None:
    """Returns Table 1's published row of the same split."""
    table = ScoreTable.of([("", evaluation)]).scores
    split = str(evaluation.subject.get("split", "")).replace("_", "/")
    rows = table[(table["source"] == "published") & (table["split"] == split)]
    return rows.iloc[0] if len(rows) else None


def _flips(flips: Flips | None) -> tuple[str, Table] | None:
    if flips is None:
        return None
    table = flips.flips[flips.flips["norm"] == "image"]
    table = table[np.isclose(table["eps"].to_numpy(float), PAPER_EPS) & table["kind"].isin(SHOWN)]
    if table.empty:
        return None
    judge = judge_of(table, "student")
    by_kind = table[table["judge"] == judge].drop_duplicates("kind").set_index("kind")
    found = {kind: by_kind.loc[kind] for kind in SHOWN if kind in by_kind.index}
    correct = int(next(iter(found.values()))["correct_pixels"])
    counts = [int(row["flipped_pixels"]) for row in found.values()]
    rows = [
        (kind_words(kind), count, interval(row["flip_rate_low"], row["flip_rate_high"]) or None)
        for (kind, row), count in zip(found.items(), counted(counts, correct), strict=True)
    ]
    shares = percents([count / correct if correct else math.nan for count in counts])
    parts = [
        f"{kind_phrase(kind)} turns {count:,} ({share}) wrong"
        for kind, count, share in zip(found, counts, shares, strict=True)
    ]
    size = eps_words({"eps": PAPER_EPS, "relative_norm": float(by_kind["relative_norm"].median())}, z=FEATURES)
    words = f"At {size}, of {correct:,} pixels that {role_words(judge)} predicts correctly, {listed(parts)}."
    caption = f"Correct pixels flipped at eps = {PAPER_EPS:g}, judged by {role_words(judge)}"
    return words, make_table(caption, ("perturbation", "flipped", INTERVAL), rows)


def _pixels(embedding: PixelEmbedding | None) -> tuple[str, Table] | None:
    if embedding is None or not len(embedding.pixels):
        return None
    found = flips_by_panel(embedding)
    rows: list[tuple[str, str, str | None]] = [
        (panel_words(panel), count, bounds.removeprefix(f"{INTERVAL} ") or None)
        for panel, (count, bounds) in found.items()
    ]
    wrong = {panel: int(embedding.flipped(panel).sum()) for panel in embedding.perturbations}
    parts = [f"{count:,} after {kind_phrase(panel)}" for panel, count in wrong.items()]
    words = f"Of {len(embedding.pixels):,} correct pixels on the t-SNE map, {listed(parts)} are flipped"
    if len(wrong) > 1:
        by = flips_by(embedding)
        rows += [(f"by {name}", count, None) for name, count in by.items()]
        words += f": {listed([f'{count} by {name}' for name, count in by.items()])}"
    return f"{words}.", make_table("Flipped pixels on the t-SNE map", ("panel", "flipped", INTERVAL), rows)
