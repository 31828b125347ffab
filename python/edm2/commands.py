"""The program's commands as functions."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from edm2 import _loader
from edm2._arrays import OneAtATime
from edm2._loader import bridge
from edm2.errors import Error, UsageError

Ending = Literal["done", "suspended"]
_one_command = OneAtATime()


def run(words: Sequence[str | os.PathLike[str]]) -> Ending:
    """Runs a command line of the program: run(["generate", "--preset=demo", "--outdir=out"]).

    What it prints goes to sys.stdout and sys.stderr, so that notebooks show it.

    Returns "done", or "suspended" of a training that has saved its state to go on later (--suspend-after, SIGTERM,
    SIGUSR1: exit code 75 of the program). Raises Error and UsageError with the program's sentence; KeyboardInterrupt
    after Ctrl-C, when files are tidied up (and the state of a training is saved).
    """
    return run_printing([os.fspath(word) for word in words], lambda text: _write(sys.stdout, text))


def train(**options: Any) -> Ending:
    """Trains a network, or goes on with a run: train(outdir="runs/x", data="d.zip", preset="demo", batch=32).

    options: those of `edm2 train` with underscores for dashes; True for switches, lists for lists, None for what is not
        given. docs/options.md and run(["train", "--help"]) list them.

    Returns and raises as run(). Another call with the same outdir goes on with a run that was suspended or interrupted.
    """
    return run(["train", *option_words(["train"], options)])


def generate_images(**options: Any) -> Ending:
    """Draws pictures into files: generate_images(preset="demo", outdir="out", seeds=range(64), nproc=2).

    options: those of `edm2 generate`, as train() has them; class_idx stands for --class. Returns and raises as run().
    """
    return run(["generate", *option_words(["generate"], options)])


def info(path: str | os.PathLike[str], layers: bool = False, values: bool = False,
         offline: bool = False) -> dict[str, Any]:
    """What a file holds: a network, training state, run, dataset, statistics, or a generated picture.

    layers: also all tensors of a network; values: also statistics of their values; offline: download nothing.

    Raises Error if it cannot be read.
    """
    return json.loads(bridge().info(os.fspath(path), layers, values, offline))


def run_printing(words: list[str], print_out: Callable[[str], Any]) -> Ending:
    """run() with a function for what goes to standard output."""
    decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in (1, 2)}

    def show(fd: int, data: bytes) -> None:
        text = decoders[fd].decode(data)
        if text and fd == 1:
            print_out(text)
        elif text:
            _write(sys.stderr, text)

    with _one_command, _libraries_for_children():  # the program's standard streams are there once
        code, message = bridge().run(words, show)
    if code == 75:
        return "suspended"
    if code == 2:
        raise UsageError(message)
    if code > 128:
        signal.raise_signal(code - 128)  # whoever sent it meant this process
        raise Error(message or f"ended by signal {code - 128}")
    if code != 0:
        raise Error(message)
    return "done"


def option_words(command: list[str], options: dict[str, Any]) -> list[str]:
    """Options as words of a command line. Raises UsageError for those that the command does not have."""
    known = {name.replace("-", "_"): (name, takes_value) for name, takes_value in bridge().command_options(command)}
    words = []
    for key, value in options.items():
        name = "class" if key == "class_idx" else key.replace("-", "_")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            hint = f"; the nearest is '{nearest[0]}'" if nearest else ""
            raise UsageError(f"'{' '.join(command)}' has no option '{key}'{hint}")
        option, takes_value = known[name]
        if value is None:
            continue
        if takes_value:
            words.append(f"--{option}={option_text(value)}")
        elif value is True:
            words.append(f"--{option}")
        elif value is not False:
            raise UsageError(f"'{key}' is a switch, True or False, not {value!r}")
    return words


def option_text(value: Any) -> str:
    """A value as the program reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, range) and value.step == 1 and 0 <= value.start < value.stop:
        return f"{value.start}-{value.stop - 1}"
    if hasattr(value, "tolist"):
        return option_text(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return ",".join(map(option_text, value))
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) else str(value)


def _write(stream: Any, text: str) -> None:
    stream.write(text)
    stream.flush()


@contextlib.contextmanager
def _libraries_for_children() -> Iterator[None]:
    """Processes that a command starts (--nproc) are programs, which do not find torch by Python's import."""
    former = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = _loader.library_path(_loader.torch_folder(), former)
    try:
        yield
    finally:
        if former is None:
            del os.environ["LD_LIBRARY_PATH"]
        else:
            os.environ["LD_LIBRARY_PATH"] = former
