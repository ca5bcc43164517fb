"""Results as earlier versions saved them: one flat `parameters` for everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from psmt_viz.results import Cams, CloseUp, Evaluation, Flips, PixelEmbedding, Result
from psmt_viz.results.old_form import sorted_parameters
from tests.figures import synthetic

RUN = {
    "run": "scenes",
    "dataset": "scenes",
    "split": "1_8",
    "method": "psmt",
    "method_version": 2,
    "backbone": "test_resnet",
    "weights": "last",
    "device": "cpu",
}
ASKED_OF_A_SEARCH = {
    "search": "finite-difference",
    "iterations": 1,
    "norm": "image",
    "objective": "kl",
    "ascent_steps": 10,
    "official_batch": 8,
    "seed": 0,
}
PARTS = {
    "evaluate": {"asked": {"part": "val"}, "used": {"images": 128}},
    "tsne": {
        "asked": {
            **{"n_pixels": 25, "eps": 2.0, "layer": "z", "layout": "frozen", "margin": 0.0, "neighbors": "exact"},
            **{"seed": 0, "perplexity": 30.0, "arrows": False},
        },
        "used": {"classes": ["a", "b"], "perplexity": 8.0, "pca_dimensions": 24, "iterations": 750},
        "measured": {
            "correct_pixels": {"a": 3},
            "relative_norm": 0.01,
            **{name: {"vat": 1} for name in ("flipped", "flip_rate", "flip_rate_low", "flip_rate_high")},
            "flipped_by": {"both": 1},
            **{"pca_variance": 0.9, "kl_divergence": 1.5, "placement_error": 1e-4, "trustworthiness": 0.9},
            **{"knn_recall": 0.6, "median_move": {"vat": 1e-4}},
        },
    },
    "gradcam": {
        "asked": {
            **{"images": 4, "target_class": None, "eps": 2.0, "seed": 0, "layer": "z", "cam_method": "gradcam"},
        },
        "used": {"faithfulness_shares": [0.2, 0.5], "rule": "seeded random order"},
        "measured": {"relative_norm": 0.01},
    },
    "perturb": {
        "asked": {"eps": [2.0], **ASKED_OF_A_SEARCH},
        "used": {"kinds": ["vat"], "judges": ["student"], "left_out": [], "images": 12},
    },
    "closeup": {
        "asked": {"eps": 2.0, "judge": "student", **ASKED_OF_A_SEARCH},
        "measured": {"relative_norm": 0.02, "relative_norm_by_kind": {"vat": 0.02, "random": 0.02, "other": 1e-6}},
    },
    "curves": {},
}
"""Name -> the parts that the flat facts of such a result are sorted into."""
RESULTS: dict[str, Result] = {
    "evaluate": synthetic.evaluation(),
    "tsne": synthetic.embedding(20, (3, 4)),
    "gradcam": synthetic.cams(1, (12, 16)),
    "perturb": synthetic.flips(("vat",)),
    "closeup": synthetic.closeup(("vat",), (16, 24)),
}


def flat(parts: dict[str, dict]) -> dict[str, object]:
    """The same facts as an earlier version saved them."""
    asked, used, measured = (dict(parts.get(name, {})) for name in ("asked", "used", "measured"))
    if "perplexity" in asked:
        asked["perplexity_asked"] = asked.pop("perplexity")
    if "relative_norm_by_kind" in measured:
        measured["relative_norm"] = measured.pop("relative_norm_by_kind")
    return asked | used | measured | RUN


@pytest.mark.parametrize("name", PARTS)
def test_flat_facts_are_sorted(name: str) -> None:
    wanted = {part: PARTS[name].get(part, {}) for part in ("asked", "used", "measured")}
    assert sorted_parameters(name, flat(PARTS[name])) == {"subject": RUN, **wanted}


def test_what_no_probe_says_is_the_callers() -> None:
    found = sorted_parameters("evaluate", {"model": "a:b", "note": "mine", "images": 3})
    assert found["subject"] == {"model": "a:b", "note": "mine"}
    assert found["used"] == {"images": 3}


@pytest.mark.parametrize("name", RESULTS)
def test_a_file_of_before_loads_and_is_saved_in_the_new_form(name: str, tmp_path: Path) -> None:
    result = RESULTS[name]
    *_, path = result.save(tmp_path)
    facts = json.loads(path.read_text())
    own = {key: value for key, value in facts.items() if key not in ("subject", "asked", "used", "measured")}
    path.write_text(json.dumps({**own, "parameters": flat(PARTS[name])}))
    loaded = type(result).load(tmp_path)
    parts = {part: PARTS[name].get(part, {}) for part in ("asked", "used", "measured")}
    assert (loaded.subject, loaded.asked, loaded.used, loaded.measured) == (RUN, *parts.values())
    loaded.save(tmp_path)
    assert json.loads(path.read_text()) == {**own, "subject": RUN, **parts}


def test_the_shipped_scores_and_results_load() -> None:
    root = Path(__file__).parents[2]
    assert Evaluation.load(root / "checkpoints" / "scenes").subject["run"] == "scenes"
    for kind in (Evaluation, PixelEmbedding, Cams, Flips):
        found = kind.load(root / "analysis" / "results" / "scenes")
        assert found.subject == RUN
    assert CloseUp.NAME == "closeup"
