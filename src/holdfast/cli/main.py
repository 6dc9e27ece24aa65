"""The entry point of ``holdfast``. It imports nothing that an extra brings before it can say which extra."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line and exits: 0 done, 1 not all of it, 2 a wrong call or setting, 130 interrupted."""
    try:
        from holdfast.cli.app import run
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print("holdfast: the command line is an extra; install it: pip install 'holdfast[cli]'", file=sys.stderr)
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
