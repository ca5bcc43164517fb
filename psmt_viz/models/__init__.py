"""Networks with the split point where PS-MT perturbs: the project's own, and any other with `encode` and `decode`."""

from psmt_viz.models.adapted import Adapted
from psmt_viz.models.adapters import adapt
from psmt_viz.models.load import load_model, load_run
from psmt_viz.models.networks import Networks

__all__ = ["Adapted", "Networks", "adapt", "load_model", "load_run"]
