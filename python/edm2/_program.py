"""The console script `edm2`: gives way to the program of this package, without importing torch."""

from __future__ import annotations

import os
import sys

from edm2 import _loader


def main() -> None:
    """Runs the program with this process's arguments; its exit code is that of this process."""
    if sys.platform != "linux":
        sys.exit("Error: edm2 runs on Linux, and on Windows within WSL")
    try:
        program = _loader.library_folder() / "edm2"
    except ImportError as error:
        sys.exit(f"Error: {error}")
    path = _loader.library_path(_loader.torch_folder(), os.environ.get("LD_LIBRARY_PATH"))
    try:
        os.execve(program, [str(program), *sys.argv[1:]], os.environ | {"LD_LIBRARY_PATH": path})
    except OSError as error:
        sys.exit(f"Error: {program} cannot be started: {error.strerror}; please install edm2 anew")


if __name__ == "__main__":
    main()
