"""Tensors on their way to the library and back, by DLPack: memory is shared, not copied."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from edm2 import _loader
from edm2.errors import Error, UsageError

_loader.library_folder()  # where torch is missing or does not fit, its sentence is better than torch's

import torch  # noqa: E402


def to_capsule(tensor: torch.Tensor) -> Any:
    """The tensor's memory. Nothing waits: the library works on torch's current stream, too."""
    return torch.utils.dlpack.to_dlpack(tensor.detach())


def from_capsule(capsule: Any) -> torch.Tensor:
    return torch.utils.dlpack.from_dlpack(capsule)


def as_tensor(array: Any) -> torch.Tensor:
    """Of a tensor, a numpy array, anything with DLPack, a number, or lists of numbers. Shares memory where it can."""
    if isinstance(array, torch.Tensor):
        return array
    if type(array).__module__ == "numpy":
        flags = getattr(array, "flags", None)
        if flags is None or not flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy()  # torch knows neither
        return torch.as_tensor(array)
    if hasattr(array, "__dlpack__"):
        return torch.from_dlpack(array)
    return torch.as_tensor(array)


def is_numpy(array: Any) -> bool:
    return type(array).__module__ == "numpy"


def label_rows(labels: Any, count: int, label_dim: int, vector_labels: bool) -> torch.Tensor | None:
    """Labels as a network takes them, float32 [count,K].

    Whole numbers are classes, one or `count` of them, unless the network was trained on label vectors; other numbers
    are label vectors [K] or [count,K].
    """
    if labels is None:
        return None
    rows = as_tensor(labels)
    if not rows.is_floating_point() and rows.dim() <= 1 and not vector_labels:
        if label_dim == 0:
            raise UsageError("this network knows no classes")
        classes = rows.reshape(-1).long()
        wrong = classes[(classes < 0) | (classes >= label_dim)]
        if len(wrong) > 0:
            raise UsageError(f"there is no class {int(wrong[0])}; this network knows 0 to {label_dim - 1}")
        rows = torch.nn.functional.one_hot(classes, label_dim)
    rows = rows.to(torch.float32)
    if rows.dim() < 2:
        rows = rows.reshape(1, -1)
    if rows.dim() != 2 or len(rows) not in (1, count) or (label_dim > 0 and rows.shape[1] != label_dim):
        raise UsageError(f"labels must be [{count},{label_dim}] or [{label_dim}], or classes, not {list(rows.shape)}")
    return rows.expand(count, -1)


def plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # the program's "inf", "-inf" and "nan"
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    raise UsageError(f"{value!r} cannot be the value of an option")


def options_text(options: Mapping[str, Any]) -> str:
    """Options of the sampler as a JSON object; None stands for what is not given."""
    names = {"class_idx": "class"}
    return json.dumps({names.get(name, name): plain(value) for name, value in options.items() if value is not None})


class OneAtATime:
    """Lets one thread after the other use an object. Used again by the function that it has called, it is an error."""

    def __init__(self) -> None:
        self._lock, self._owner = threading.Lock(), 0

    def __enter__(self) -> None:
        if self._owner == threading.get_ident():
            raise Error("this object is at work; it cannot be used by the function that it calls")
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._owner = 0
        self._lock.release()
