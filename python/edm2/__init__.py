"""EDM2 and Autoguidance diffusion models: draw pictures, train, average weights, measure.

    import edm2

    sampler = edm2.Sampler(preset="demo")
    batch = sampler.generate("0-15")        # batch.images: torch uint8 [16,3,32,32]

Importing this package imports nothing else: torch is imported when something that computes is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edm2.errors import Error, UsageError

if TYPE_CHECKING:
    from edm2 import dataset, metrics
    from edm2.commands import generate_images, info, run, train
    from edm2.denoiser import Denoiser, load_denoiser
    from edm2.ema import PowerFunctionEma, Snapshots, exp_to_std, power_function_beta, reconstruct, std_to_exp
    from edm2.sampler import Batch, Sampler, Step, presets, sampling_options

    __version__: str

__all__ = [
    "Batch", "Denoiser", "Error", "PowerFunctionEma", "Sampler", "Snapshots", "Step", "UsageError", "__version__",
    "dataset", "exp_to_std", "generate_images", "info", "load_denoiser", "metrics", "power_function_beta", "presets",
    "reconstruct", "run", "sampling_options", "std_to_exp", "train",
]

_MODULES = ("commands", "dataset", "denoiser", "ema", "errors", "metrics", "progress", "sampler")
_HOMES = {
    "commands": ("generate_images", "info", "run", "train"),
    "denoiser": ("Denoiser", "load_denoiser"),
    "ema": ("PowerFunctionEma", "Snapshots", "exp_to_std", "power_function_beta", "reconstruct", "std_to_exp"),
    "sampler": ("Batch", "Sampler", "Step", "presets", "sampling_options"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("edm2")
    if name in _MODULES:
        return importlib.import_module(f"edm2.{name}")
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(f"edm2.{module}"), name)
            return value
    raise AttributeError(f"module 'edm2' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
