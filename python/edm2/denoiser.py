"""The network as a function: D(x; sigma)."""

from __future__ import annotations

import os
from typing import Any

from edm2._arrays import OneAtATime, as_tensor, from_capsule, is_numpy, label_rows, to_capsule
from edm2._loader import bridge
from edm2.errors import UsageError
from edm2.progress import Display, Progress
from edm2.sampler import compute_options

import torch  # after _arrays, which explains what is wrong with it


class Denoiser:
    """D(x; sigma): the expected clean image given x = image + sigma * noise (arXiv 2206.00364, Eq. 2).

    What `load_denoiser()` returns. It computes for inference only: no gradients.
    """

    def __init__(self, source: str | os.PathLike[str], *, device: str | torch.device = "auto", precision: str = "auto",
                 engine: str = "auto", offline: bool = False, progress: Progress = None) -> None:
        display, self._lock = Display(progress), OneAtATime()
        try:
            compute = compute_options(device, precision, engine, None, offline)
            self._denoiser = bridge().denoiser(os.fspath(source), compute, *display.functions())
        finally:
            display.close()
        facts = self._denoiser.facts()
        self.img_channels: int = facts.img_channels
        self.img_resolution: int = facts.img_resolution  #: height and width
        self.label_dim: int = facts.label_dim  #: number of classes, or length of label vectors; 0 = unconditional
        self.vector_labels: bool = facts.vector_labels  #: trained on label vectors instead of classes
        self.device = torch.device(facts.device)  #: where it computes

    def __call__(self, x: Any, sigma: Any, labels: Any = None) -> Any:
        """Denoises a batch.

        x: [N,C,H,W] as the network was made for, of any floating-point type; a tensor on the network's device, or a
            numpy array. It is not copied.
        sigma: noise level > 0, a number, or one for each image ([N], [N,1,1,1]).
        labels: whole numbers are classes, [N] or one; other numbers are label vectors, [N,label_dim] or [label_dim].
            None: zeros, which conditional networks take for "any class". Unconditional networks ignore them.

        Returns float32 [N,C,H,W] on x's device; a numpy array if x is one. On CUDA the work goes to torch's current
        stream. Raises UsageError if something has a wrong shape or is elsewhere.
        """
        images = as_tensor(x)
        wanted = (self.img_channels, self.img_resolution, self.img_resolution)
        if images.dim() != 4 or images.shape[1:] != wanted or not images.is_floating_point():
            raise UsageError(f"x must be floating-point images [N,{','.join(map(str, wanted))}], not {images.dtype} "
                             f"{list(images.shape)}")
        device = self.device if is_numpy(x) else images.device
        levels = as_tensor(sigma)
        if not isinstance(sigma, torch.Tensor) and not bool((levels > 0).all()):
            raise UsageError(f"sigma must be above 0, not {sigma}")
        levels = levels.to(device, torch.float32)
        if levels.numel() == 1:
            levels = levels.reshape(())
        elif levels.dim() > 1 and levels.numel() == levels.shape[0]:
            levels = levels.reshape(-1)
        rows = None
        if self.label_dim > 0:
            rows = label_rows(labels, len(images), self.label_dim, self.vector_labels)
        if len(images) == 0:
            return images.float() if images is x else images.float().numpy()
        with self._lock:
            denoised = from_capsule(self._denoiser.denoise(to_capsule(images.to(device)), to_capsule(levels),
                                                           None if rows is None else to_capsule(rows.to(device))))
        return denoised.cpu().numpy() if is_numpy(x) else denoised

    def __repr__(self) -> str:
        size = f"{self.img_channels}x{self.img_resolution}x{self.img_resolution}"
        return f"<edm2.Denoiser of images {size}, label_dim {self.label_dim}, on {self.device}>"


def load_denoiser(source: str | os.PathLike[str], *, device: str | torch.device = "auto", precision: str = "auto",
                  engine: str = "auto", offline: bool = False, progress: Progress = None) -> Denoiser:
    """Loads a network for loops of your own.

        D = edm2.load_denoiser("runs/photos@0.1")
        clean = D(image + 2.5 * torch.randn_like(image), 2.5)

    source: file, address, "RUN@STD" or "bundled:NAME", as Sampler takes; device, precision, engine: as well.

    Raises Error (no such file, a damaged file, ...), UsageError.
    """
    return Denoiser(source, device=device, precision=precision, engine=engine, offline=offline, progress=progress)
