"""Power-function averages of the weights of any network, and post-hoc reconstruction of any EMA length.

arXiv 2312.02696, Section 3 and Appendix C. Times are numbers of training samples; lengths (`std`) are relative to the
training time so far, above 0 and below 0.289.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Union

from edm2._arrays import OneAtATime, from_capsule, to_capsule
from edm2._loader import bridge
from edm2.errors import UsageError

import torch  # after _arrays, which explains what is wrong with it

Weights = Union[torch.nn.Module, Mapping[str, torch.Tensor], Iterable[torch.Tensor], Iterable[tuple[str, torch.Tensor]]]


def std_to_exp(std: float) -> float:
    """Exponent g of the profile with relative width `std` (Eq. 126)."""
    return bridge().std_to_exp(std)


def exp_to_std(exponent: float) -> float:
    """Relative width of the profile with exponent g >= 0 (Eq. 123)."""
    return bridge().exp_to_std(exponent)


def power_function_beta(std: float, nimg: int, batch: int) -> float:
    """Decay factor of a step of `batch` samples that ends at `nimg` samples (Eq. 127)."""
    return bridge().power_function_beta(std, nimg, batch)


class PowerFunctionEma:
    """Moving averages of a network in training, one for each relative width.

        ema = edm2.PowerFunctionEma(model, stds=(0.05, 0.10))
        for step in range(1, steps + 1):
            ...                                    # a step of the optimizer on 32 samples
            ema.update(32 * step, 32)
            if 32 * step % 65536 == 0:
                ema.save("snapshots", 32 * step)

    Parameters of floating-point types are averaged; buffers and all others are taken from the network as they are.
    """

    def __init__(self, parameters_or_module: Weights, stds: Sequence[float] = (0.05, 0.10)) -> None:
        """Begins with copies of the weights, on their devices.

        parameters_or_module: a torch.nn.Module, whose state_dict() is followed; or tensors, or pairs of names and
            tensors, all of which are averaged. The averages follow the tensors that are there at the time of update().

        Raises UsageError if a width is not above 0 and below 0.289.
        """
        self._module: torch.nn.Module | None = None
        self._tensors: list[tuple[str, torch.Tensor]] = []
        buffers: list[str] = []
        if isinstance(parameters_or_module, torch.nn.Module):
            self._module = parameters_or_module
            parameters = {id(parameter) for parameter in self._module.parameters()}
            buffers = [name for name, tensor in _state_of(self._module) if id(tensor) not in parameters]
        else:
            self._tensors = _named(parameters_or_module)
        self._lock = OneAtATime()
        self._ema = bridge().ema(_capsules(self._current()), [float(std) for std in stds], buffers)

    @property
    def stds(self) -> list[float]:
        """Relative widths."""
        return self._ema.stds()

    def update(self, nimg: int, batch: int) -> None:
        """After a step of the optimizer: average = beta * average + (1 - beta) * weights.

        nimg: samples seen, this step's included; batch: samples of this step. The average after the first step
        (nimg == batch) is the weights.
        """
        with self._lock:
            self._ema.update(_capsules(self._current()), nimg, batch)

    def weights(self, std: float) -> dict[str, torch.Tensor]:
        """The averages of one width by name, as a module's state_dict(); they share the memory that update() writes,
        but for buffers, which are those of the last call of weights(), copy_to() or save()."""
        with self._lock:
            self._ema.copy_buffers(_capsules(self._current()))
            return _tensors(self._ema.weights(self._index(std)))

    def copy_to(self, module: Weights, std: float) -> None:
        """Writes the averages of one width over the weights of a module or of tensors like those that are averaged."""
        averages = self.weights(std)
        if isinstance(module, torch.nn.Module) and self._module is not None:
            module.load_state_dict(averages, strict=False)
            return
        targets = dict(_state_of(module) if isinstance(module, torch.nn.Module) else _named(module))
        if list(targets) != list(averages):
            raise UsageError("these are not tensors like those that are averaged")
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(averages[name])

    def save(self, folder: str | os.PathLike[str], nimg: int, prefix: str = "network-snapshot") -> list[str]:
        """Writes a snapshot PREFIX-KIMG-STD.safetensors for each width; returns their paths.

        nimg: samples seen, a multiple of 1024: names hold KIMG = nimg // 1000 and tell such times exactly.

        Raises Error if a file cannot be written.
        """
        if nimg < 1024 or nimg % 1024 != 0:
            raise UsageError(f"names of snapshots tell multiples of 1024 samples only, and {nimg} is none")
        with self._lock:
            self._ema.copy_buffers(_capsules(self._current()))
            return self._ema.save(os.fspath(folder), nimg, prefix)

    def state_dict(self) -> dict[str, Any]:
        """All that load_state_dict() needs to go on: "stds", and "weights" for each of them, which share memory with
        the averages. For torch.save()."""
        with self._lock:
            stds = self._ema.stds()
            return {"stds": stds, "weights": [_tensors(self._ema.weights(i)) for i in range(len(stds))]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what state_dict() gave. Raises Error if names or shapes are others."""
        with self._lock:
            self._ema.load(list(state["stds"]), [_capsules(weights.items()) for weights in state["weights"]])

    def _current(self) -> list[tuple[str, torch.Tensor]]:
        return _state_of(self._module) if self._module is not None else self._tensors

    def _index(self, std: float) -> int:
        stds = self._ema.stds()
        if std not in stds:
            raise UsageError(f"the lengths that are averaged are {', '.join(map(str, stds))}, not {std}; others can be "
                             "reconstructed of snapshots")
        return stds.index(std)


def _state_of(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    state = module.state_dict(keep_vars=True)  # the parameters themselves, so that they can be told from buffers
    return [(name, tensor) for name, tensor in state.items() if isinstance(tensor, torch.Tensor)]


def _named(tensors: Any) -> list[tuple[str, torch.Tensor]]:
    if isinstance(tensors, Mapping):
        return list(tensors.items())
    return [item if isinstance(item, tuple) else (str(i), item) for i, item in enumerate(tensors)]


def _capsules(named: Iterable[tuple[str, torch.Tensor]]) -> list[tuple[str, Any]]:
    return [(name, to_capsule(tensor)) for name, tensor in named]


def _tensors(named: Iterable[tuple[str, Any]]) -> dict[str, torch.Tensor]:
    return {name: from_capsule(capsule) for name, capsule in named}


class StoredAverage(NamedTuple):
    """A snapshot file of a run."""

    file_name: str
    nimg: int  # samples seen
    std: float


class Solution(NamedTuple):
    """How an EMA length is put together of stored averages."""

    coefficients: list[float]  # of the files up to that time, in their order; their sum is 1
    error: float  # expected error, relative: 0 = exact


class Snapshots:
    """The snapshots of a run: weights for any EMA length (arXiv 2312.02696, Section 3.2).

    Of runs of `edm2 train` and of PowerFunctionEma.save(). Files are opened and checked once.
    """

    def __init__(self, folder: str | os.PathLike[str], prefix: str | None = None) -> None:
        """Finds the snapshots in a folder.

        prefix: of their names, if there are several; none: that of training, "network-snapshot".

        Raises Error: no such folder, no snapshots, two files of the same time and length, ...
        """
        self._snapshots, self._lock = bridge().snapshots(os.fspath(folder), prefix), OneAtATime()

    @property
    def files(self) -> list[StoredAverage]:
        """Sorted by time, then width; without those of time 0, which no reconstruction uses."""
        return [StoredAverage(file.file_name, file.nimg, file.std) for file in self._snapshots.files()]

    @property
    def notes(self) -> list[str]:
        """Remarks, such as on files that were left out."""
        return self._snapshots.notes()

    def reconstruct(self, std: float, nimg: int | None = None) -> dict[str, torch.Tensor]:
        """Weights of that EMA length at a stored time (none: the latest) by name, on the CPU: float16 of EDM2's
        networks, otherwise of the types in the files. Raises Error: no such time, a damaged file, ..."""
        with self._lock:
            return _tensors(self._snapshots.reconstruct(std, nimg))

    def solve(self, std: float, nimg: int | None = None) -> Solution:
        """How well, and of which files, that length can be made, without reading them (Algorithm 3)."""
        with self._lock:
            return Solution(*self._snapshots.solve(std, nimg))


def reconstruct(folder: str | os.PathLike[str], std: float, nimg: int | None = None) -> dict[str, torch.Tensor]:
    """Weights of any EMA length from the snapshots in a folder: Snapshots(folder).reconstruct(std, nimg)."""
    return Snapshots(folder).reconstruct(std, nimg)
