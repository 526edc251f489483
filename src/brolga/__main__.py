"""`python -m brolga` and the console script."""

import gc
import sys

from brolga.runtime.cli import main as run_command_line


def main() -> int:
    """Run the command line of this process, which ends then."""
    status = run_command_line()
    gc.freeze()  # Python collects garbage three times as it ends: what the process has is no use looking at
    return status


if __name__ == "__main__":
    sys.exit(main())
