"""Pictures from seeds."""

from __future__ import annotations

import ctypes
import json
import math
import operator
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edm2._arrays import OneAtATime, as_tensor, from_capsule, label_rows, options_text, to_capsule
from edm2._loader import bridge
from edm2.errors import Error, UsageError
from edm2.progress import Display, Progress

import torch  # after _arrays, which explains what is wrong with it


class Step(NamedTuple):
    """What `on_step` is told after each step of each batch."""

    step: int  # 0 to num_steps - 1
    num_steps: int
    sigma: float  # noise level that has been reached; 0 after the last step
    denoised: torch.Tensor  # float32 [N,C,H,W]: latest estimate of the clean images; clone it to keep it


def parse_seeds(seeds: int | str | Iterable[int]) -> list[int]:
    """Of 5, [1, 2, 5], range(16), a tensor, or text such as "1,2,5-10"."""
    numbers: list[int] = []
    if isinstance(seeds, str):
        for part in seeds.split(","):
            ends = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
            if not ends:
                raise UsageError(f"'{seeds}' is no list of seeds such as '0-15' or '1,2,5-10'")
            numbers += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    else:
        given = seeds.tolist() if hasattr(seeds, "tolist") else seeds
        numbers = [operator.index(seed) for seed in given] if isinstance(given, Iterable) else [operator.index(given)]
    if any(not -(2 ** 63) <= number < 2 ** 63 for number in numbers):
        raise UsageError("seeds must be numbers of 64 bits")
    return numbers


def encode_png(picture: torch.Tensor) -> bytes:
    """picture: uint8 [H,W,C] with 1 to 4 channels (grey, grey and alpha, RGB, RGBA)."""
    height, width, channels = picture.shape
    pixels = picture.contiguous()
    data = ctypes.string_at(pixels.data_ptr(), pixels.numel())
    stride = width * channels
    rows = b"".join(b"\0" + data[begin:begin + stride] for begin in range(0, len(data), stride))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_picture(path: Path, picture: torch.Tensor) -> None:
    """picture: uint8 [H,W,C]. Files other than .png need Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        path.write_bytes(encode_png(picture))
        return
    try:
        from PIL import Image
    except ImportError:
        raise Error(f"'{path}' needs Pillow, which is not installed; .png files do not") from None
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[picture.shape[2]]
    data = ctypes.string_at(picture.contiguous().data_ptr(), picture.numel())
    Image.frombytes(mode, (picture.shape[1], picture.shape[0]), data).save(path)


class Batch:
    """Pictures of one call. A notebook shows them as a sheet.

    `batch[i]` is picture i, uint8 [C,H,W]; `batch[a:b]` and `batch[[1, 3]]` are batches.
    """

    images: torch.Tensor | None  #: uint8 [N,C,H,W]; None with decode=False
    latents: torch.Tensor  #: float32 [N,C,H,W]: what the sampler has drawn, before decoding
    labels: torch.Tensor | None  #: float32 [N,K]: one-hot, or label vectors; None of unconditional networks
    seeds: list[int]

    def __init__(self, images: torch.Tensor | None, latents: torch.Tensor, labels: torch.Tensor | None,
                 seeds: list[int]) -> None:
        self.images, self.latents, self.labels, self.seeds = images, latents, labels, seeds

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            index = list(range(len(self)))[index]
        if not isinstance(index, (list, tuple)):
            return self._pictures()[range(len(self))[index]]
        return self._select([range(len(self))[i] for i in index])

    def _select(self, chosen: list[int]) -> Batch:
        def rows(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor[chosen]

        return Batch(rows(self.images), self.latents[chosen], rows(self.labels), [self.seeds[i] for i in chosen])

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(self._pictures())

    def __repr__(self) -> str:
        shape = list((self.latents if self.images is None else self.images).shape)
        return f"<edm2.Batch of {len(self)} {'latents' if self.images is None else 'pictures'} {shape}>"

    def _pictures(self) -> torch.Tensor:
        if self.images is None:
            raise Error("there are only latents in this batch; Sampler.decode(batch.latents) makes pictures of them")
        return self.images

    def grid(self, columns: int | None = None) -> torch.Tensor:
        """A sheet of all pictures, row by row, uint8 [H,W,C] on the CPU; places left over are white.

        columns: none means about as many as rows.
        """
        pictures = self._pictures().cpu()
        count, channels, height, width = pictures.shape
        if columns is not None and columns < 1:
            raise UsageError("a sheet needs at least one column")
        across = min(columns or math.ceil(math.sqrt(count)), max(count, 1))
        down = math.ceil(count / across)
        sheet = torch.full((down * across, channels, height, width), 255, dtype=torch.uint8)
        sheet[:count] = pictures
        rows = sheet.reshape(down, across, channels, height, width).permute(0, 3, 1, 4, 2)
        return rows.reshape(down * height, across * width, channels)

    def save(self, path: str | os.PathLike[str], columns: int | None = None) -> None:
        """Writes a sheet of all pictures ("out.png", with Pillow also .jpg, .webp, ...), or, where the path has no such
        ending, a folder with a file for each picture named by its seed, as the program does ("out/000016.png")."""
        path = Path(path)
        if path.suffix:
            write_picture(path, self.grid(columns))
            return
        for seed, picture in zip(self.seeds, self._pictures().cpu()):
            write_picture(path / f"{seed:06d}.png", picture.permute(1, 2, 0))

    def _repr_png_(self) -> bytes | None:
        return encode_png(self.grid()) if self.images is not None and len(self) > 0 else None


class Sampler:
    """Draws pictures with a network, or with two of them (Autoguidance, arXiv 2406.02507).

        sampler = edm2.Sampler("runs/photos@0.1", gnet="runs/guide@0.1", guidance=2, solver="unipc", steps=23)
        sampler.generate("0-15", class_idx=3).save("sheet.png")

    A picture depends on the networks, the options, its seed and the kind of device, and on nothing else; it is the one
    that `edm2 generate` draws.
    """

    def __init__(self, net: str | os.PathLike[str] | None = None, *, preset: str | None = None,
                 gnet: str | os.PathLike[str] | None = None, guidance: float | None = None, device: str = "auto",
                 precision: str = "auto", engine: str = "auto", vae: str | os.PathLike[str] | None = None,
                 offline: bool = False, progress: Progress = None, **options: Any) -> None:
        """Loads the networks.

        net, gnet: file (.pkl, .safetensors, .pt), address of the web, "RUN@STD" (folder of a training run and an EMA
            length), or "bundled:NAME"; gnet guides.
        preset: a name that edm2.presets() lists; gives what is not given: net, gnet, guidance.
        guidance: 1 is none, more goes further away from what the guide draws.
        device: "auto", "cpu", "cuda", "cuda:1".
        precision: "auto", "fp32", "bf16", "fp16".
        engine: "auto", "fast", "int8", "reference".
        vae: of networks of latents: folder, file or address; it is searched for, or else downloaded, when first needed.
        offline: use downloaded files, download nothing.
        options: those of the sampler under their names in the program, with underscores (edm2.sampling_options() lists
            them): solver, steps, sigma_min, sigma_max, rho, guidance_interval, S_churn, S_min, S_max, S_noise; and
            class_idx and batch (pictures that are drawn together, 32).

        Raises Error (no such file, a damaged file, ...), UsageError.
        """
        if net is None and preset is None:
            raise UsageError("Please give a network or a preset: Sampler('net.pkl') or Sampler(preset='demo')")
        request = {"net": net, "preset": preset, "gnet": gnet, "guidance": guidance, **options}
        self._display, self._lock = Display(progress), OneAtATime()
        try:
            compute = compute_options(device, precision, engine, vae, offline)
            self._sampler = bridge().sampler(options_text(request), compute, *self._display.functions())
        finally:
            self._display.close()
        facts = self._sampler.facts()
        self.img_channels: int = facts.img_channels  #: of the network's images (4 of VAE latents)
        self.img_resolution: int = facts.img_resolution  #: height and width of the network's images
        self.label_dim: int = facts.label_dim  #: number of classes, or length of label vectors; 0 = unconditional
        self.vector_labels: bool = facts.vector_labels  #: trained on label vectors instead of classes
        self.device = torch.device(facts.device)

    def set_guide(self, gnet: str | os.PathLike[str], guidance: float) -> None:
        """Loads a guiding network. Raises Error if it makes other images or knows other classes."""
        with self._lock:
            try:
                self._sampler.set_guide(os.fspath(gnet), float(guidance))
            finally:
                self._display.close()

    def set_options(self, **options: Any) -> None:
        """Changes options for all later calls. Raises UsageError, and then changes nothing."""
        with self._lock:
            self._sampler.set_options(options_text(options))

    @property
    def options(self) -> dict[str, Any]:
        """All options by name, with the values of the next call."""
        return json.loads(self._sampler.options())

    def generate(self, seeds: int | str | Iterable[int], class_idx: int | None = None, labels: Any = None,
                 on_step: Callable[[Step], Any] | None = None, decode: bool = True, progress: Progress = None,
                 **options: Any) -> Batch:
        """Draws one picture for each seed.

        seeds: 5, [1, 2, 5], range(16), or text such as "0-15" or "1,2,5-10".
        class_idx: of all pictures, 0 to label_dim - 1; none: drawn from the seed.
        labels: instead of classes that the seeds choose: whole numbers are classes, [N] or one; other numbers are label
            vectors, [N,label_dim] or [label_dim].
        on_step: called with a Step after each step of each batch. What it raises ends the work.
        decode: False leaves images out, and only latents are drawn.
        options: those of the constructor, for this call alone.

        Raises Error, UsageError; KeyboardInterrupt after Ctrl-C.
        """
        numbers = parse_seeds(seeds)
        text = options_text({"class_idx": class_idx, **options})
        rows = label_rows(labels, len(numbers), self.label_dim, self.vector_labels)
        batch_size = options.get("batch") or self.options["batch"]
        parts = [range(len(numbers))] if rows is None else _parts_of_different_seeds(numbers)
        display, batches, report = Display(progress), [], None
        if on_step or display.shows:
            report = _step_function(on_step, display, sum(math.ceil(len(part) / batch_size) for part in parts))
        with self._lock:
            try:
                for part in parts:
                    own_seeds = [numbers[i] for i in part]
                    own_rows = None if rows is None else to_capsule(rows[list(part)])
                    images, latents, used = self._sampler.generate(own_seeds, text, own_rows, decode, report)
                    batches.append(Batch(None if images is None else from_capsule(images), from_capsule(latents),
                                         None if used is None else from_capsule(used), own_seeds))
            finally:
                display.close()
                self._display.close()
        return batches[0] if len(batches) == 1 else _joined(batches, [i for part in parts for i in part])

    def decode(self, latents: Any) -> torch.Tensor:
        """latents: float [N,C,H,W], as Batch.latents. Returns pictures, uint8 [N,C',H',W'], on the sampler's device."""
        with self._lock:
            try:
                return from_capsule(self._sampler.decode(to_capsule(as_tensor(latents))))
            finally:
                self._display.close()

    def __repr__(self) -> str:
        size = f"{self.img_channels}x{self.img_resolution}x{self.img_resolution}"
        return f"<edm2.Sampler of images {size}, label_dim {self.label_dim}, on {self.device}>"


def _parts_of_different_seeds(seeds: list[int]) -> list[list[int]]:
    """Positions of seeds, so that no part has a seed twice: the library knows labels by their seeds."""
    parts: list[list[int]] = []
    met: Counter[int] = Counter()
    for i, seed in enumerate(seeds):
        if met[seed] == len(parts):
            parts.append([])
        parts[met[seed]].append(i)
        met[seed] += 1
    return parts or [[]]


def _joined(batches: list[Batch], places: list[int]) -> Batch:
    """One batch of several, whose pictures in turn belong to these places."""
    def together(name: str) -> Any:
        tensors = [getattr(batch, name) for batch in batches]
        return None if tensors[0] is None else torch.cat(tensors)

    whole = Batch(together("images"), together("latents"), together("labels"),
                  [seed for batch in batches for seed in batch.seeds])
    return whole._select(sorted(range(len(places)), key=places.__getitem__))


def _step_function(on_step: Callable[[Step], Any] | None, display: Display,
                   batches: int) -> Callable[[int, int, float, Any], None]:
    done = 0

    def report(step: int, num_steps: int, sigma: float, denoised: Any) -> None:
        nonlocal done
        done += 1
        display.advance("Generating", done, num_steps * batches, "step")
        if on_step:
            on_step(Step(step, num_steps, sigma, from_capsule(denoised)))

    return report


def compute_options(device: Any, precision: str, engine: str, vae: str | os.PathLike[str] | None, offline: bool) -> Any:
    from edm2._front import ComputeOptions

    return ComputeOptions(str(device), precision, engine, None if vae is None else os.fspath(vae), offline)


def presets() -> list[dict[str, Any]]:
    """What Sampler(preset=...) knows: "name", "net", "gnet", "guidance" of each."""
    return json.loads(bridge().presets())


def sampling_options() -> list[dict[str, Any]]:
    """The options of Sampler and generate(): "name", "type", "default", "help" of each, and where there are some
    "range" and "choices"."""
    return json.loads(bridge().sampling_options())
