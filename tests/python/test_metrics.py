"""edm2.metrics."""

import math

import pytest
import torch

import edm2
from edm2 import metrics


@pytest.fixture(scope="module")
def detector(dinov2_weights):
    return metrics.Detector("dinov2", dinov2_weights)


def random_pictures(count=10, seed=0):
    return torch.randint(256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def random_features(count=200, dim=8, seed=0, shift=0.0):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + shift


def test_detector(detector):
    assert detector.feature_dim == 64 and "DINOv2" in detector.name
    features = detector(random_pictures())
    assert features.dtype == torch.float32 and features.shape == (10, 64) and features.isfinite().all()
    with pytest.raises(edm2.UsageError, match="no detector"):
        metrics.Detector("clip")
    with pytest.raises(edm2.Error, match="nowhere"):
        metrics.Detector("inception", "nowhere.pkl")
    with pytest.raises(edm2.UsageError):
        detector(random_pictures().float())


def test_features_of_all_sources(detector, tmp_path):
    numpy = pytest.importorskip("numpy")
    pictures = random_pictures()
    expected = detector(pictures)
    numpy.save(tmp_path / "pictures.npy", pictures.permute(0, 2, 3, 1).numpy())
    numpy.savez(tmp_path / "pictures.npz", arr_0=pictures.permute(0, 2, 3, 1).numpy())
    for i, picture in enumerate(pictures):
        edm2.sampler.write_picture(tmp_path / "folder" / f"{i:06d}.png", picture.permute(1, 2, 0))
    edm2.dataset.convert(tmp_path / "folder", tmp_path / "pictures.zip")
    sources = [pictures, pictures.permute(0, 2, 3, 1), pictures.numpy(), tmp_path / "pictures.npy",
               str(tmp_path / "pictures.npz"), tmp_path / "folder", tmp_path / "pictures.zip",
               iter(pictures.split(3)), [pictures[:4], pictures[4:]],
               ((part, None) for part in pictures.split(4)), edm2.Batch(pictures, pictures, None, list(range(10)))]
    for source in sources:
        told = []
        features = metrics.features(source, detector, batch_size=4, progress=lambda *piece: told.append(piece))
        assert torch.equal(features, expected), source
        assert told[-1][1] == 10
    assert torch.equal(metrics.features(pictures, detector, num=3), expected[:3])
    assert torch.equal(metrics.features(iter(pictures.split(2)), detector, num=3), expected[:3])
    assert len(metrics.features(tmp_path / "folder", detector, num=3)) == 3
    for wrong in (pictures.float(), pictures[:, :2], pictures[0], tmp_path / "nowhere", 3):
        with pytest.raises((edm2.Error, TypeError)):
            metrics.features(wrong, detector)


def test_statistics_and_distance():
    x, y = random_features(), random_features(seed=1, shift=0.5)
    mu, sigma = metrics.statistics(x)
    assert mu.dtype == sigma.dtype == torch.float64
    assert torch.allclose(mu, x.double().mean(0)) and torch.allclose(sigma, x.double().T.cov())
    a, b = metrics.statistics(x), metrics.statistics(y.numpy())
    product = torch.linalg.eigvals(a.sigma @ b.sigma).sqrt().real.sum()
    expected = ((a.mu - b.mu) ** 2).sum() + a.sigma.trace() + b.sigma.trace() - 2 * product
    assert metrics.frechet_distance(*a, *b) == pytest.approx(expected.item(), rel=1e-9)
    assert metrics.frechet_distance(*a, *a) == pytest.approx(0, abs=1e-9)
    with pytest.raises(edm2.UsageError):
        metrics.frechet_distance(a.mu, a.mu, *b)
    with pytest.raises(edm2.Error):
        metrics.statistics(x * math.nan)
    with pytest.raises(edm2.Error):
        metrics.statistics(x[:1])


def test_kernel_distance():
    x, y = random_features(), random_features(seed=1, shift=0.5)
    score = metrics.kernel_distance(x, y, subsets=1, subset_size=200)

    def kernel(a, b):
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    n = len(x)
    within = sum((k.sum() - k.diag().sum()) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y)))
    assert score == pytest.approx((within - 2 * kernel(x, y).mean()).item(), rel=1e-6)
    several = metrics.kernel_distance(x, y, subsets=10, subset_size=50)
    assert several.deviation > 0 and repr(several).count("±") == 1
    assert several == metrics.kernel_distance(x, y, subsets=10, subset_size=50)


def test_manifolds():
    real, near, far = random_features(), random_features(seed=1), random_features(seed=2, shift=50)
    good, bad = metrics.precision_recall(near, real), metrics.precision_recall(far, real)
    assert set(good) == {"precision", "recall"} and good["precision"] > 0.5 and bad["precision"] == bad["recall"] == 0
    assert metrics.density_coverage(near, real)["coverage"] > 0.5
    assert metrics.density_coverage(far, real) == {"density": 0, "coverage": 0}
    distances = torch.cdist(real.double(), real.double()).sort(1).values[:, 3]
    expected = (torch.cdist(near.double(), real.double()) <= distances).any(1).double().mean()
    assert good["precision"] == pytest.approx(expected.item())
    with pytest.raises(edm2.Error):
        metrics.precision_recall(near[:2], real)


@pytest.mark.parametrize("name", ["reference.pkl", "reference.npz"])
def test_references(tmp_path, name):
    statistics = {"fid": metrics.statistics(random_features())}
    if name.endswith("pkl"):
        statistics["fd_dinov2"] = metrics.statistics(random_features(seed=3))
    metrics.save_reference(tmp_path / name, statistics, num_images=200)
    reference = metrics.load_reference(tmp_path / name)
    assert set(reference) == set(statistics)
    for metric, (mu, sigma) in statistics.items():
        assert torch.equal(reference[metric].mu, mu) and torch.equal(reference[metric].sigma, sigma)
    if name.endswith("pkl"):
        assert reference.num_images == 200
    (tmp_path / "broken.pkl").write_bytes(b"nothing")
    with pytest.raises(edm2.Error, match="broken.pkl"):
        metrics.load_reference(tmp_path / "broken.pkl")


def test_calc(detector, dinov2_weights, tmp_path):
    pytest.importorskip("numpy")
    ours, theirs = random_pictures(40), random_pictures(50, seed=1)
    a, b = (metrics.statistics(metrics.features(pictures, detector)) for pictures in (ours, theirs))
    metrics.save_reference(tmp_path / "ref.pkl", {"fd_dinov2": b})
    with pytest.warns(UserWarning):  # so few pictures
        scores = metrics.calc(ours, tmp_path / "ref.pkl", metrics=["fd_dinov2"], dinov2=dinov2_weights)
    assert scores["fd_dinov2"] == pytest.approx(metrics.frechet_distance(*a, *b), rel=1e-5)
    with pytest.raises(edm2.UsageError, match="option 'dinov3'"):
        metrics.calc(ours, tmp_path / "ref.pkl", dinov3="x")
    with pytest.raises(edm2.Error, match="nowhere.pkl"):
        metrics.calc(ours, tmp_path / "nowhere.pkl", metrics="fd_dinov2", dinov2=dinov2_weights)
