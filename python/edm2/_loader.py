"""Finds the part of this package that was built for the torch at hand, without importing torch."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edm2._front import Bridge

PACKAGE = Path(__file__).parent.absolute()


def supported_torch() -> list[str]:
    """The versions, such as "2.11", that this package has a part for; the newest last."""
    versions = [folder.name[len("torch"):] for folder in PACKAGE.glob("torch*.*") if (folder / "libedm2.so").exists()]
    return sorted(versions, key=lambda version: [int(number) for number in version.split(".")])


def torch_folder() -> Path | None:
    """Where torch is installed; None if it is not."""
    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def torch_version(folder: Path) -> str:
    """Such as "2.15.0+cpu"."""
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^__version__.*?=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found[1] if found else "of an unknown version"


def library_folder() -> Path:
    """Holds libedm2.so and the program for the torch at hand. Raises ImportError: one sentence."""
    supported = supported_torch()
    if not supported:
        raise ImportError("this copy of edm2 has no compiled part; please install it with 'pip install edm2'")
    versions = " and ".join([", ".join(supported[:-1])] * (len(supported) > 1) + supported[-1:])
    remedy = f"pip install 'torch=={supported[-1]}.*'"
    folder = torch_folder()
    if folder is None:
        raise ImportError(f"edm2 needs torch {versions.replace(' and ', ' or ')}, and there is none; please {remedy}")
    version = torch_version(folder)
    minor = ".".join(version.split(".")[:2])
    if minor not in supported:
        raise ImportError(f"edm2 works with torch {versions}, and here is torch {version}; please {remedy}")
    return PACKAGE / f"torch{minor}"


def library_path(folder: Path | None, former: str | None) -> str:
    """LD_LIBRARY_PATH with which the program finds torch's libraries."""
    return ":".join(([] if folder is None else [str(folder / "lib")]) + ([former] if former else []))


@functools.cache
def bridge() -> Bridge:
    """The loaded library. Imports torch, whose libraries it finds in the process then."""
    folder = library_folder()
    import torch  # noqa: F401

    from edm2 import _front

    return _front.load(str(folder / "libedm2.so"), str(folder / "edm2"))
