"""Networks with the seam where PS-MT perturbs: the project's own, and any other with `encode` and `decode`."""

from psmt_viz.models.adapters import Adapted, adapt
from psmt_viz.models.networks import Networks, load_model

__all__ = ["Adapted", "Networks", "adapt", "load_model"]
