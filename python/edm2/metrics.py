"""FID, FD-DINOv2, KID, precision and recall, density and coverage.

The whole way in one call is calc(); its steps are features(), statistics() and the distances. docs/metrics.md says how
each number is computed, and which numbers can be compared.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from edm2._arrays import as_tensor, from_capsule, to_capsule
from edm2._loader import bridge
from edm2.commands import option_words, run_printing
from edm2.errors import UsageError
from edm2.progress import Display, Progress, someone_looks_on
from edm2.sampler import Batch, compute_options

import torch  # after _arrays, which explains what is wrong with it


class Score(float):
    """A number, and how far it can be trusted."""

    deviation: float | None  #: standard error, or of KID and the Inception Score the deviation over subsets
    bias: float | None  #: what the limited number of pictures adds on average

    def __new__(cls, value: float, deviation: float | None = None, bias: float | None = None) -> Score:
        score = super().__new__(cls, value)
        score.deviation, score.bias = deviation, bias
        return score

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.deviation, self.bias

    def __repr__(self) -> str:
        return super().__repr__() if self.deviation is None else f"{float(self)!r} ± {self.deviation:.2g}"


class Statistics(NamedTuple):
    """Of the features of a set of pictures."""

    mu: torch.Tensor  # float64 [D]
    sigma: torch.Tensor  # float64 [D,D], unbiased


class Reference(dict[str, Statistics]):
    """Statistics by name ("fid", "fd_dinov2"): the contents of a reference file."""

    num_images: int | None = None  #: that they are of; old files and .npz files do not say


class Detector:
    """A network that turns pictures into feature vectors."""

    def __init__(self, kind: str, weights: str | os.PathLike[str] | None = None, *, device: str | torch.device = "auto",
                 precision: str = "auto", offline: bool = False, progress: Progress = None) -> None:
        """Loads it.

        kind: "inception" (InceptionV3, D = 2048, of FID) or "dinov2" (D = 1024, of FD-DINOv2).
        weights: file or address; none: the customary ones, downloaded when first used.
        precision: "auto" is float32, as in the original.

        Raises Error, UsageError.
        """
        display = Display(progress)
        source = "" if weights is None else os.fspath(weights)
        try:
            compute = compute_options(device, precision, "auto", None, offline)
            self._detector = bridge().detector(kind, source, compute, *display.functions())
        finally:
            display.close()
        self.name: str = self._detector.name()  #: "InceptionV3", "DINOv2 ViT-L/14", ...
        self.feature_dim: int = self._detector.feature_dim()  #: D

    def __call__(self, pictures: Any) -> torch.Tensor:
        """pictures: uint8 [N,3,H,W]. Returns float32 [N,D] on the detector's device."""
        return from_capsule(self._detector.features(to_capsule(as_tensor(pictures))))

    def __repr__(self) -> str:
        return f"<edm2.metrics.Detector {self.name}, {self.feature_dim} features>"


def features(source: Any, detector: str | Detector = "inception", batch_size: int = 64, num: int | None = None, *,
             seed: int = 0, device: str | torch.device = "auto", progress: Progress = None) -> torch.Tensor:
    """Feature vectors of pictures.

    source: folder, .zip, .npz with "arr_0" or .npy; an array uint8 [N,3,H,W] or [N,H,W,3]; a Batch; or an iterator of
        such arrays (of tuples, as a DataLoader gives them, the first element counts).
    detector: "inception", "dinov2", or a Detector, which need not be loaded again.
    num: take that many pictures: of files those that `seed` chooses, otherwise the first ones. None: all.

    Returns float32 [N,D] on the CPU. Raises Error (a picture that cannot be read, several sizes, ...), UsageError.
    """
    if not isinstance(detector, Detector):
        detector = Detector(detector, device=device, progress=progress)
    total, pictures = _picture_batches(source, batch_size, num, seed)
    rows, display, done = [], Display(progress), 0
    try:
        for batch in pictures:
            rows.append(detector(batch).cpu())
            done += len(batch)
            display.advance("Computing features", done, total, "picture")
    finally:
        display.close()
    return torch.cat(rows) if rows else torch.zeros(0, detector.feature_dim)


def statistics(features: Any) -> Statistics:
    """Mean and unbiased covariance of features [N,D], N >= 2, added up in float64 in the order of the rows."""
    _, mu, sigma = bridge().statistics(to_capsule(as_tensor(features)))
    return Statistics(from_capsule(mu), from_capsule(sigma))


def frechet_distance(mu1: Any, sigma1: Any, mu2: Any, sigma2: Any) -> float:
    """|mu1 - mu2|^2 + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^(1/2)): FID and FD-DINOv2 (arXiv 1706.08500, Eq. 6).

    mu: [D]; sigma: [D,D]. Raises Error if a number is not finite, UsageError for wrong shapes.
    """
    return bridge().frechet_distance(_with_name("", (mu1, sigma1)), _with_name("", (mu2, sigma2)))


def kernel_distance(x: Any, y: Any, subsets: int = 100, subset_size: int = 1000, seed: int = 2020) -> Score:
    """KID of features [N,D] and [M,D]: squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, unbiased, the
    mean over random subsets (arXiv 1801.01401). Its deviation is that over the subsets."""
    capsules = to_capsule(as_tensor(x)), to_capsule(as_tensor(y))
    value, deviation = bridge().kernel_distance(*capsules, subsets, subset_size, seed)
    return Score(value, deviation)


def manifold_scores(generated: Any, real: Any, k: int = 3, density_k: int = 5) -> dict[str, Score]:
    """"precision", "recall" (with k neighbours, arXiv 1904.06991), "density" and "coverage" (with density_k,
    arXiv 2002.09797) of features [N,D] and [M,D], with the standard errors over pictures."""
    scores = bridge().manifold_scores(to_capsule(as_tensor(generated)), to_capsule(as_tensor(real)), k, density_k)
    return {name: Score(value, deviation) for name, (value, deviation) in scores}


def precision_recall(generated: Any, real: Any, k: int = 3) -> dict[str, Score]:
    """"precision": share of generated pictures among real ones; "recall": of real ones among generated ones."""
    scores = manifold_scores(generated, real, k=k)
    return {name: scores[name] for name in ("precision", "recall")}


def density_coverage(generated: Any, real: Any, k: int = 5) -> dict[str, Score]:
    """"density" and "coverage": the same by counting balls, less shaken by outliers."""
    scores = manifold_scores(generated, real, density_k=k)
    return {name: scores[name] for name in ("density", "coverage")}


def load_reference(path: str | os.PathLike[str]) -> Reference:
    """Reads statistics of the original's and other programs' files (.pkl, .npz, .pt, .safetensors). Raises Error."""
    listed, num_images = bridge().load_statistics(os.fspath(path))
    reference = Reference({name: Statistics(from_capsule(mu), from_capsule(sigma)) for name, mu, sigma in listed})
    reference.num_images = num_images
    return reference


def save_reference(path: str | os.PathLike[str], statistics: Mapping[str, tuple[Any, Any]],
                   num_images: int | None = None) -> None:
    """Writes statistics (mu, sigma) by name: "fid" alone into .npz files, "fid" and "fd_dinov2" into .pkl files."""
    bridge().save_statistics(os.fspath(path), [_with_name(name, pair) for name, pair in statistics.items()], num_images)


def load_features(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Features by detector that `edm2 metrics ref --features` or `calc --features` wrote. Raises Error."""
    return {name: from_capsule(capsule) for name, capsule in bridge().load_features(os.fspath(path))}


def calc(images: Any, ref: str | os.PathLike[str] | None = None, metrics: str | Sequence[str] = "fid,fd_dinov2",
         num: int | None = None, progress: bool | None = None, **options: Any) -> dict[str, Score]:
    """Scores of pictures, as `edm2 metrics calc` computes them: calc("out", "ref.pkl", num=10000)["fid"].

    images: as features() takes them; pictures that are in no file are written to a temporary one.
    ref: file or address of the reference's statistics, for "fid" and "fd_dinov2".
    metrics: "fid", "fd_dinov2", "kid", "kd_dinov2", "is", "precision", "recall", "density", "coverage", and the last
        four with "_dinov2".
    num: of pictures; none: 50,000 of files, as is customary, and otherwise all.
    progress: whether sys.stderr is told how far it is; none: if that is a terminal or a notebook.
    options: those of the command with underscores for dashes: ref_features (for KID and what follows it), error_bars,
        allow_fewer, seed, inception, dinov2, device, manifest, ...

    Reasons to doubt a score are warnings. Raises Error, UsageError, KeyboardInterrupt.
    """
    given = {"ref": ref, "metrics": metrics, "num": num, **options, "json": True}
    with tempfile.TemporaryDirectory(prefix="edm2-") as folder:
        if not isinstance(images, (str, os.PathLike)):
            images, count = _write_pictures(images, Path(folder) / "pictures.npy", num)
            given["num"] = count
        given["quiet"] = not (someone_looks_on() if progress is None else progress)
        words = option_words(["metrics", "calc"], {"images": images, **given})
        printed: list[str] = []
        run_printing(["metrics", "calc", *words], printed.append)
    scores = {}
    for name, score in json.loads("".join(printed)).items():
        for text in score.get("warnings", []):
            warnings.warn(text, stacklevel=2)
        scores[name] = Score(score["value"], score.get("deviation"), score.get("bias"))
    return scores


def _with_name(name: str, pair: tuple[Any, Any]) -> tuple[str, Any, Any]:
    mu, sigma = pair
    return name, to_capsule(as_tensor(mu)), to_capsule(as_tensor(sigma))


def _as_pictures(array: Any) -> torch.Tensor:
    """uint8 [N,3,H,W] of what features() takes."""
    if isinstance(array, Batch):
        array = array.images
    pictures = as_tensor(array)
    if pictures.dim() == 4 and pictures.shape[1] != 3 and pictures.shape[3] == 3:
        pictures = pictures.permute(0, 3, 1, 2)
    if pictures.dim() != 4 or pictures.shape[1] != 3 or pictures.dtype != torch.uint8:
        raise UsageError(f"pictures must be uint8 [N,3,H,W] or [N,H,W,3], not {pictures.dtype} {list(pictures.shape)}")
    return pictures


def _picture_batches(source: Any, batch_size: int, num: int | None, seed: int) -> tuple[int, Iterator[torch.Tensor]]:
    """How many pictures there are (0: unknown), and they, uint8 [n,3,H,W] each."""
    if batch_size < 1 or (num is not None and num < 1):
        raise UsageError("batch_size and num must be at least 1")
    if isinstance(source, (str, os.PathLike)):
        picture_set = bridge().pictures(os.fspath(source), num, seed)
        return picture_set.size(), _read_pictures(picture_set, batch_size)
    if isinstance(source, Batch) or hasattr(source, "__dlpack__") or hasattr(source, "__array__"):
        pictures = _as_pictures(source)[:num]
        return len(pictures), iter(pictures.split(batch_size))
    return num or 0, _take_pictures(source, num)


def _read_pictures(picture_set: Any, batch_size: int) -> Iterator[torch.Tensor]:
    with ThreadPoolExecutor(2, thread_name_prefix="edm2-pictures") as pool:
        for begin in range(0, picture_set.size(), batch_size):
            part = range(begin, min(begin + batch_size, picture_set.size()))
            yield torch.stack([from_capsule(capsule) for capsule in pool.map(picture_set.picture, part)])


def _take_pictures(batches: Iterable[Any], num: int | None) -> Iterator[torch.Tensor]:
    left = num
    for batch in batches:
        pictures = _as_pictures(batch[0] if isinstance(batch, (tuple, list)) else batch)[:left]
        yield pictures
        if left is not None:
            left -= len(pictures)
            if left == 0:
                return


def _write_pictures(source: Any, path: Path, num: int | None) -> tuple[Path, int]:
    import numpy

    _, batches = _picture_batches(source, 1024, num, 0)
    pictures = torch.cat([batch.cpu() for batch in batches])
    numpy.save(path, pictures.numpy())
    return path, len(pictures)
