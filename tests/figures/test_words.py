"""Names and sentences that figures, page and commands share."""

from __future__ import annotations

import math

import pytest

from psmt_viz.figures import words


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed(names, text):
    assert words.listed(names) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"relative_norm": 0.01}, ""),
        ({"eps": 2.0}, "eps = 2"),
        ({"eps": 2.0, "relative_norm": 0.0032}, "eps = 2 (0.32 % of ‖z‖)"),
        ({"eps": 0.125, "relative_norm": math.nan}, "eps = 0.125"),
        ({"eps": 2, "relative_norm": {"vat": 0.1}}, "eps = 2"),
    ],
)
def test_eps_is_said_with_its_share_of_the_features(facts, text):
    assert words.eps_words(facts) == text


def test_roles_and_kinds_of_any_name_are_said():
    assert words.role_words("student") == "the student" and words.role_words("teacher2") == "teacher 2"
    assert words.judged_by("teacher") == "judged by the teacher" and words.judged_by("ema") == "judged by ema"
    assert words.kind_phrase("random") == "a random direction" and words.kind_phrase("tvat") == "T-VAT"
    assert words.kind_words("mine") == words.kind_phrase("mine") == "mine"


def test_panels_are_what_is_added_to_the_original():
    assert [words.panel_words(panel) for panel in ("clean", "vat", "random")] == [
        "original",
        "+ VAT",
        "+ random direction",
    ]
    assert words.change_words("tvat") == "T-VAT − original"


def test_intervals_and_measures_are_said_where_they_are_known():
    assert words.interval_words(0.0113, 0.0186) == "95 % interval 1.13 to 1.86 %"
    assert words.interval_words(None, 0.1) == ""
    facts = {"perplexity": 30, "knn_recall": 0.41234, "trustworthiness": None}
    assert words.map_measures(facts) == ["perplexity 30", "kNN recall 0.412"]
