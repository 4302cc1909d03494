"""``python -m tabsynth``."""

import sys

from tabsynth.cli.main import main

sys.exit(main())
