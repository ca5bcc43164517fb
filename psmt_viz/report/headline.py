"""What the page is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psmt_viz.figures.words import listed
from psmt_viz.results import Saved, Training

_LABELS = {
    "dataset": "data set",
    "split": "split",
    "method": "method",
    "backbone": "backbone",
    "weights": "weights",
    "device": "device",
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The first lines of the page."""

    name: str
    """Of the run, or of the model where it was not trained here."""
    facts: tuple[tuple[str, str], ...]


def headline(saved: Saved) -> Headline:
    """Returns what run, data set and weights the results are of, as the first result that knows says it."""
    facts = next((facts for facts in _origins(saved) if "run" in facts or "model" in facts), {})
    training = saved.get(Training)
    runs = dict.fromkeys(curves.name for curves in training.runs) if training else {}
    name = str(facts.get("run") or facts.get("model") or listed(list(runs)) or "results")
    shown = [(label, str(facts[key])) for key, label in _LABELS.items() if facts.get(key) is not None]
    if version := saved.manifest.get("versions", {}).get("psmt-viz"):
        shown.append(("made with", f"psmt-viz {version}"))
    return Headline(name=name, facts=tuple(shown))


def _origins(saved: Saved) -> Iterator[Mapping[str, Any]]:
    yield saved.manifest.get("run", {})
    for result in saved.results.values():
        yield result.subject
