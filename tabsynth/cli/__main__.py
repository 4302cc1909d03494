"""``python -m tabsynth.cli``."""

import sys

from tabsynth.cli.main import main

sys.exit(main())
