"""How far long work has come: bars in terminals and notebooks, or a function of yours.

Whatever takes `progress` takes

- None: bars where someone looks on (a terminal, a notebook), for work of more than half a second;
- True or False: always, with all messages, or never;
- a function `progress(title, done, total, unit)`: called now and then; `total` is 0 where it is unknown, and a piece of
  work ends with done == total. What it raises ends the work.

Messages ("Loading main network from ...") go to the logger "edm2", those that begin with "Warning:" as warnings.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Union

Progress = Union[bool, Callable[[str, int, int, str], None], None]

PATIENCE = 0.5  # seconds of work without a bar
_log = logging.getLogger("edm2")


def someone_looks_on() -> bool:
    """Standard error is a terminal, or this is a notebook."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stderr, "isatty", lambda: False)())


class _TextBar:
    """A line that is written over and over."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.shown, self.written = time.monotonic() + PATIENCE - 0.1, 0

    def update_to(self, done: int) -> None:
        now = time.monotonic()
        if now - self.shown < 0.1:
            return
        self.shown = now
        count = f"{done}/{self.total} {self.unit}s" if self.total else f"{done} {self.unit}s"
        if self.unit == "byte":
            count = f"{done / 1e6:.1f}/{self.total / 1e6:.1f} MB" if self.total else f"{done / 1e6:.1f} MB"
        text = f"{self.title}: {count}"
        sys.stderr.write("\r" + text.ljust(self.written))
        sys.stderr.flush()
        self.written = len(text)

    def close(self) -> None:
        if self.written:
            sys.stderr.write("\r" + " " * self.written + "\r")
            sys.stderr.flush()


class _TqdmBar:
    """The same by tqdm, where it is installed."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about widgets that a notebook lacks
            from tqdm.auto import tqdm
        self.bar = tqdm(total=total or None, desc=title, unit="B" if unit == "byte" else unit, leave=False,
                        unit_scale=unit == "byte", delay=PATIENCE)

    def update_to(self, done: int) -> None:
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def make_bar(title: str, total: int, unit: str) -> _TqdmBar | _TextBar:
    try:
        return _TqdmBar(title, total, unit)
    except ImportError:
        return _TextBar(title, total, unit)


class Display:
    """Shows pieces of work, one after the other, as `progress` asks for."""

    def __init__(self, progress: Progress = None) -> None:
        self._function = progress if callable(progress) else None
        self._bars = progress is True or (progress is None and someone_looks_on())
        self._messages = progress is True
        self._bar: _TqdmBar | _TextBar | None = None
        self._piece = ("", "")

    def functions(self) -> tuple[Callable[[str], None], Callable[[str, int, int, str], None]]:
        """message() and advance() for the library, which does not keep this object alive by them: what is held by
        compiled objects is out of sight of Python's search for cycles."""
        this = weakref.ref(self)

        def message(line: str) -> None:
            if (display := this()) is not None:
                display.message(line)

        def advance(title: str, done: int, total: int, unit: str) -> None:
            if (display := this()) is not None:
                display.advance(title, done, total, unit)

        return message, advance

    @property
    def shows(self) -> bool:
        """Something is to be told of how far work is."""
        return self._bars or self._function is not None

    def message(self, line: str) -> None:
        """A line of text that the work has for its user."""
        _log.log(logging.WARNING if line.startswith("Warning:") else logging.INFO, "%s", line)
        if self._messages and not line.startswith("Warning:"):
            self.close()
            print(line, file=sys.stderr, flush=True)

    def advance(self, title: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units (0: unknown) of a piece of work are done."""
        if self._function is not None:
            self._function(title, done, total, unit)
        if not self._bars:
            return
        if self._piece != (title, unit) or done == 0:
            self.close()
        if total and done >= total:
            self.close()
            return
        if self._bar is None:
            self._piece = (title, unit)
            self._bar = make_bar(title, total, unit)
        self._bar.update_to(done)

    def close(self) -> None:
        """Takes a bar away that is still there."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
