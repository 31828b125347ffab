"""edm2.load_denoiser()."""

import pytest
import torch

import edm2
from edm2._arrays import as_tensor, to_capsule


def noisy(count=2, sigma=1.0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * sigma


def test_facts(denoiser):
    assert denoiser.img_channels == 3 and denoiser.img_resolution == 32
    assert denoiser.label_dim > 1 and denoiser.device == torch.device("cpu") and not denoiser.vector_labels


def test_it_denoises(denoiser):
    x = noisy(sigma=0.01)
    assert torch.allclose(denoiser(x, 0.01, labels=0), x, atol=0.2)
    assert denoiser(noisy(sigma=80), 80.0).abs().max() < 2


def test_sigma_in_all_shapes(denoiser):
    x, levels = noisy(), torch.tensor([0.5, 2.0])
    expected = denoiser(x, levels, labels=[1, 2])
    assert expected.dtype == torch.float32 and expected.shape == x.shape
    assert torch.equal(denoiser(x, levels.double().reshape(2, 1, 1, 1), labels=[1, 2]), expected)
    assert torch.equal(denoiser(x[:1], 0.5, labels=1), expected[:1])
    assert torch.equal(denoiser(x[1:], torch.tensor([2.0]), labels=2), expected[1:])
    assert torch.equal(denoiser(x, torch.tensor(0.5)), denoiser(x, 0.5))


def test_no_images(denoiser):
    assert denoiser(torch.zeros(0, 3, 32, 32), 1.0).shape == (0, 3, 32, 32)
    for wrong in (0, -1.0, float("nan"), [1.0, 0.0]):
        with pytest.raises(edm2.UsageError, match="above 0"):
            denoiser(noisy(), wrong)


def test_labels(denoiser):
    x = noisy()
    one_hot = torch.nn.functional.one_hot(torch.tensor([3, 1]), denoiser.label_dim)
    assert torch.equal(denoiser(x, 1.0, labels=torch.tensor([3, 1])), denoiser(x, 1.0, labels=one_hot.float()))
    assert torch.equal(denoiser(x, 1.0), denoiser(x, 1.0, labels=torch.zeros(denoiser.label_dim)))
    with pytest.raises(edm2.UsageError, match="no class 99"):
        denoiser(x, 1.0, labels=99)


def test_types_and_layouts(denoiser):
    x = noisy()
    expected = denoiser(x, 1.0)
    assert torch.allclose(denoiser(x.double(), 1.0), expected, atol=1e-5)
    assert torch.allclose(denoiser(x.to(memory_format=torch.channels_last), 1.0), expected, atol=1e-5)
    assert torch.equal(denoiser(x.expand(2, 3, 32, 32).clone().requires_grad_(), 1.0), expected)
    assert not denoiser(x.clone().requires_grad_(), 1.0).requires_grad
    assert torch.equal(denoiser(x.flip(0)[[1, 0]], 1.0), expected)


def test_numpy(denoiser):
    numpy = pytest.importorskip("numpy")
    x = noisy().numpy()
    result = denoiser(x, numpy.array([1.0, 2.0]), labels=numpy.array([1, 2]))
    assert isinstance(result, numpy.ndarray) and result.dtype == numpy.float32
    expected = denoiser(torch.from_numpy(x), torch.tensor([1.0, 2.0]), labels=[1, 2])
    assert torch.equal(torch.from_numpy(result), expected)
    x.setflags(write=False)
    assert numpy.array_equal(denoiser(x, numpy.float64(1.0)), denoiser(noisy().numpy(), 1.0))
    assert numpy.array_equal(denoiser(x[::-1], 1.0), denoiser(noisy().numpy()[::-1].copy(), 1.0))


def test_nothing_is_copied_on_the_way():
    x = noisy()
    assert torch.from_dlpack(to_capsule(x)).data_ptr() == x.data_ptr()
    assert torch.from_dlpack(to_capsule(x[:, :, ::2, 1:])).stride() == x[:, :, ::2, 1:].stride()
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros((2, 3, 4, 4), dtype=numpy.float32)
    assert as_tensor(array).data_ptr() == array.ctypes.data


def test_memory_of_arrays_is_let_go(denoiser):
    """Of what is handed over, and of capsules that nobody takes."""
    import gc
    import weakref

    x = noisy()
    gone = weakref.ref(x.untyped_storage())
    denoiser(x, 1.0)
    capsule = denoiser._denoiser.denoise(to_capsule(x), to_capsule(torch.tensor(1.0)), None)
    del x, capsule
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("x, sigma, labels", [
    (torch.zeros(2, 4, 32, 32), 1.0, None), (torch.zeros(3, 32, 32), 1.0, None), (torch.zeros(2, 3, 32, 30), 1.0, None),
    (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), 1.0, None), (torch.zeros(2, 3, 32, 32), torch.ones(3), None),
    (torch.zeros(2, 3, 32, 32), 1.0, torch.zeros(3, 9)), (torch.zeros(2, 3, 32, 32), 1.0, torch.zeros(2, 8)),
    (torch.zeros(2, 3, 64, 64), 1.0, None), (torch.zeros(2, 3, 32, 32), [[1.0, 2.0]], None),
])
def test_wrong_shapes(denoiser, x, sigma, labels):
    with pytest.raises(edm2.UsageError):
        denoiser(x, sigma, labels)
    assert denoiser(noisy(), 1.0).shape == (2, 3, 32, 32)


def test_wrong_capsules_are_refused(denoiser):
    inner, sigma = denoiser._denoiser, to_capsule(torch.tensor(1.0))
    used = to_capsule(noisy())
    torch.utils.dlpack.from_dlpack(used)
    for wrong in (used, object(), 3):
        with pytest.raises(TypeError):
            inner.denoise(wrong, sigma, None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda():
    on_gpu = edm2.load_denoiser("bundled:demo-emoji32.pkl", device="cuda")
    on_cpu = edm2.load_denoiser("bundled:demo-emoji32.pkl", device="cpu")
    with torch.cuda.stream(torch.cuda.Stream()):
        x = noisy().to("cuda", non_blocking=True)
        result = on_gpu(x, torch.tensor([1.0, 2.0]))
        assert result.device.type == "cuda"
        assert torch.allclose(result.cpu(), on_cpu(noisy(), torch.tensor([1.0, 2.0])), atol=5e-2)
    with pytest.raises(edm2.UsageError, match="cpu"):
        on_gpu(noisy(), 1.0)
