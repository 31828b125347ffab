"""Datasets as training sees them, and how to make them."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from typing import Any

from edm2._arrays import from_capsule
from edm2._loader import bridge
from edm2.commands import option_words, run

import torch  # after _arrays, which explains what is wrong with it


class Dataset:
    """Images and labels of a folder or zip archive, in the order of their names: what `edm2 train` reads.

    A map-style dataset: torch.utils.data.DataLoader(dataset, batch_size=32, num_workers=2). May be used by several
    threads at once; processes that it is sent to open the files anew.
    """

    def __init__(self, path: str | os.PathLike[str], use_labels: bool = True, max_size: int | None = None,
                 xflip: bool = False, seed: int = 0) -> None:
        self._arguments = (os.path.abspath(path), use_labels, max_size, xflip, seed)
        self._open()

    def _open(self) -> None:
        self._dataset = bridge().dataset(*self._arguments)
        self.image_shape: tuple[int, ...] = tuple(self._dataset.image_shape())  #: (C, H, W)
        self.label_dim: int = self._dataset.label_dim()  #: number of classes, or length of label vectors; 0 = none
        self.label_kind: str = self._dataset.label_kind()  #: "none", "classes" or "vectors"
        self.notes: list[str] = self._dataset.notes()  #: remarks on how the files were read

    def __len__(self) -> int:
        return self._dataset.size()

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image [C,H,W], uint8 (or float32 of latents), and label float32 [label_dim]: one-hot, or a vector.

        Negative indices count from the end. Raises IndexError beyond it, Error naming a damaged file.
        """
        image, label = self._dataset.item(self._position(index))
        return from_capsule(image), torch.zeros(0) if label is None else from_capsule(label)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return (self[i] for i in range(len(self)))

    def name(self, index: int) -> str:
        """The file of an item."""
        return self._dataset.item_name(self._position(index))

    def _position(self, index: int) -> int:
        given, count = operator.index(index), len(self)
        if not -count <= given < count:
            raise IndexError(f"there is no item {given} among {count}")
        return given % count

    def __getstate__(self) -> tuple[Any, ...]:
        return self._arguments

    def __setstate__(self, arguments: tuple[Any, ...]) -> None:
        self._arguments = arguments
        self._open()

    def __repr__(self) -> str:
        return f"<edm2.dataset.Dataset of {len(self)} images {list(self.image_shape)}, label_dim {self.label_dim}>"


def open(path: str | os.PathLike[str], use_labels: bool = True, max_size: int | None = None, xflip: bool = False,
         seed: int = 0) -> Dataset:
    """Opens a dataset: a folder or zip archive of pictures or .npy latents, with labels from dataset.json or, in a
    folder, from the names of its folders.

    use_labels: False as if there were none. max_size: keep that many images, chosen by `seed`. xflip: the mirrored
    images follow the others.

    Raises Error: no such path, no images, images of several shapes, labels that do not cover them, ...
    """
    return Dataset(path, use_labels, max_size, xflip, seed)


def convert(source: str | os.PathLike[str], dest: str | os.PathLike[str], **options: Any) -> None:
    """Makes a dataset of pictures, as `edm2 dataset convert` does.

        edm2.dataset.convert("photos", "photos-64x64.zip", transform="center-crop", resolution="64x64")

    source: folder, archive, CIFAR or MNIST files, or an address; dest: .zip, .tar, or a folder; options: those of the
    command with underscores for dashes, as edm2.train() has them.

    Raises Error, UsageError, KeyboardInterrupt.
    """
    words = option_words(["dataset", "convert"], {"source": source, "dest": dest, **options})
    run(["dataset", "convert", *words])
