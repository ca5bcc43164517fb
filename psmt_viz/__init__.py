"""psmt-viz: train PS-MT and see what its perturbations really do.

The commands from Python, one to one, each imported when it is asked for. `psmt_viz.perturb`, `psmt_viz.train` and
`psmt_viz.report` are packages (the search for a perturbation, training, the page), so the functions of these commands
have longer names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psmt_viz.data import open_data as open_data
    from psmt_viz.models.load import load_run as load_run
    from psmt_viz.models.networks import Networks as Networks
    from psmt_viz.probes.closeup import closeup as closeup
    from psmt_viz.probes.curves import curves as curves
    from psmt_viz.probes.evaluate import evaluate as evaluate
    from psmt_viz.probes.gradcam import gradcam as gradcam
    from psmt_viz.probes.perturb import perturb as measure_flips
    from psmt_viz.probes.reliability import reliability as reliability
    from psmt_viz.probes.settings import GradcamSettings as GradcamSettings
    from psmt_viz.probes.settings import TsneSettings as TsneSettings
    from psmt_viz.probes.table import table as table
    from psmt_viz.probes.tsne import tsne as tsne
    from psmt_viz.report import write_report as write_report
    from psmt_viz.search import SearchSettings as SearchSettings
    from psmt_viz.train.session import train as train_run

__version__ = "0.1.0"
__all__ = [
    "GradcamSettings",
    "Networks",
    "SearchSettings",
    "TsneSettings",
    "__version__",
    "closeup",
    "curves",
    "evaluate",
    "gradcam",
    "load_run",
    "measure_flips",
    "open_data",
    "reliability",
    "table",
    "train_run",
    "tsne",
    "write_report",
]
_WHERE = {
    "GradcamSettings": "probes.settings:GradcamSettings",
    "SearchSettings": "search:SearchSettings",
    "TsneSettings": "probes.settings:TsneSettings",
    "Networks": "models.networks:Networks",
    "closeup": "probes.closeup:closeup",
    "curves": "probes.curves:curves",
    "evaluate": "probes.evaluate:evaluate",
    "gradcam": "probes.gradcam:gradcam",
    "load_run": "models.load:load_run",
    "measure_flips": "probes.perturb:perturb",
    "open_data": "data:open_data",
    "reliability": "probes.reliability:reliability",
    "table": "probes.table:table",
    "train_run": "train.session:train",
    "tsne": "probes.tsne:tsne",
    "write_report": "report:write_report",
}
"""Public name -> module and name in it; importing torch takes seconds, which `--help` and readers of results save."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = _WHERE[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), own)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
