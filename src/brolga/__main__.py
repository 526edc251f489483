"""`python -m brolga` and the console script."""

import sys

from brolga.runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
