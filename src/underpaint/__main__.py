"""`python -m underpaint` is the command line."""

import sys

from underpaint.cli import main

sys.exit(main())
