"""`python -m psmt_viz.cli`, as torchrun starts it."""

import sys

from psmt_viz.cli import main

sys.exit(main())
