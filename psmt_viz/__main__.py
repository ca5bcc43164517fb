"""`python -m psmt_viz`."""

import sys

from psmt_viz.cli import main

sys.exit(main())
