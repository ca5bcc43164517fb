from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from psmt_viz.figures import tsne_findings
from psmt_viz.figures.tsne_words import left_out, moves
from psmt_viz.figures.words import without_teachers

from . import synthetic


def said(error, **known):
    return moves({"median_move": known, **({} if error is None else {"placement_error": error})})


def test_a_move_within_the_placement_error_is_said_to_be_within_it():
    start = "Median move, of the map's longer side: "
    assert said(2e-4, vat=1.8e-4, tvat=2e-4) == (
        f"{start}VAT 0.0180 %, within the placement error (0.0200 %); T-VAT 0.0200 %, within it."
    )
    assert said(2e-4, vat=1.8e-4, tvat=5e-4) == (
        f"{start}VAT 0.0180 %, within the placement error (0.0200 %); T-VAT 0.0500 %, 0.030 % beyond it."
    )
    # A move just beyond it does not read as equal to it.
    assert said(2e-4, vat=2.0001e-4, tvat=1e-4) == (
        f"{start}VAT 0.020001 %, 0.0000010 % beyond the placement error (0.020000 %); T-VAT 0.010000 %, within it."
    )


@pytest.mark.parametrize("facts", [{}, {"median_move": {}}, {"median_move": None, "placement_error": 0.1}])
def test_nothing_is_said_of_moves_that_are_not_known(facts):
    assert moves(facts) == ""


def test_pixels_that_did_not_come_to_rest_are_counted():
    facts = {"median_move": {"vat": 1e-4}, "unsettled": {"vat": 1200, "tvat": 3}}
    assert moves(facts).endswith("VAT 0.0100 %. Pixels that had not come to rest: VAT 1,200; T-VAT 3.")
    assert moves(facts | {"unsettled": {"vat": 0, "tvat": 0}}).endswith("VAT 0.0100 %.")


def test_a_joint_map_has_no_placement_error():
    assert said(None, vat=1.8e-4, tvat=np.nan) == "Median move, of the map's longer side: VAT 0.0180 %."


def test_the_screen_says_counts_of_both_and_of_one_alone():
    embedding = synthetic.embedding(5000, (361, 363))
    vat, tvat = embedding.flipped("vat"), embedding.flipped("tvat")
    lines = tsne_findings(embedding)
    assert lines[0].startswith("flipped by VAT: 361 of 25,000 (1.44 %), 95 % interval 0.090 to 0.210 %")
    assert lines[1] == "flipped by T-VAT: 363 of 25,000 (1.45 %)"
    both = int((vat & tvat).sum())
    assert lines[2] == f"flipped by both: {both}, VAT alone: {361 - both}, T-VAT alone: {363 - both}"
    assert "within the placement error" in lines[3]
    assert len(tsne_findings(replace(embedding, measured={}))) == 3


def test_the_screen_says_how_long_the_map_took():
    embedding = replace(synthetic.embedding(20), seconds={"sampling": 12.4, "layout": 30.3})
    assert tsne_findings(embedding)[-1] == "t-SNE: 43 s, of which sampling 12 s and openTSNE 30 s"


def test_classes_too_rare_and_pixels_too_few_are_told_where_there_are_any():
    assert left_out({"n_pixels": 10, "pixels": {"cat": 5, "dog": 5}, "left_out": {}}) == ""
    rare = {"left_out": {"cow": 1200, "sheep": 0}}
    words = "Left out, because too few of their pixels are predicted correctly: cow (1,200), sheep (0)."
    assert left_out(rare) == words
    few = {"n_pixels": 25_000, "pixels": {"cat": 700, "dog": 701}}
    assert left_out(few) == "1,401 pixels: there are too few for 25,000 in equal shares."
    embedding = synthetic.embedding()
    assert words in tsne_findings(replace(embedding, used={**embedding.used, **rare}))


def test_what_is_shown_where_there_are_no_teachers_is_told():
    def said_of(asked, *kinds):
        return without_teachers(replace(synthetic.cams(kinds=kinds), asked=asked))

    assert said_of({}, "vat", "random") == "no T-VAT, which needs teachers: VAT and a random direction"
    assert said_of({"panels": ["vat", "random"]}, "vat", "random") == said_of({}, "vat", "tvat") == ""
