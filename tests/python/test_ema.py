"""Averages of weights of any network, and reconstruction of any EMA length."""

import io

import pytest
import torch

import edm2


def make_module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 2))


def change(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
        module(torch.randn(8, 3, dtype=module[0].weight.dtype))  # the buffers of the normalisation


def test_formulas():
    for std in (0.01, 0.05, 0.1, 0.25):
        g = edm2.std_to_exp(std)
        assert std == pytest.approx(((g + 1) / ((g + 2) ** 2 * (g + 3))) ** 0.5, rel=1e-9)
        assert edm2.exp_to_std(g) == pytest.approx(std, rel=1e-9)
        assert edm2.power_function_beta(std, 4096, 32) == pytest.approx((1 - 32 / 4096) ** (g + 1), rel=1e-9)
    for wrong in (0, -1, 0.3, float("nan")):
        with pytest.raises(edm2.UsageError):
            edm2.std_to_exp(wrong)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_update_follows_the_formula(dtype, tolerance):
    module, stds, batch = make_module().to(dtype), (0.05, 0.10, 0.2), 32
    ema = edm2.PowerFunctionEma(module, stds)
    expected = {std: {name: p.detach().double().clone() for name, p in module.named_parameters()} for std in stds}
    for step in range(1, 101):
        change(module)
        ema.update(step * batch, batch)
        for std in stds:
            beta = (1 - 1 / step) ** (edm2.std_to_exp(std) + 1)
            for name, p in module.named_parameters():
                expected[std][name].lerp_(p.detach().double(), 1 - beta)
    for std in stds:
        averages = ema.weights(std)
        assert list(averages) == list(module.state_dict())
        for name, tensor in expected[std].items():
            assert averages[name].dtype == dtype
            assert (averages[name].double() - tensor).abs().max() <= tolerance * tensor.abs().max(), name


def test_first_step_is_the_weights():
    module = make_module()
    ema = edm2.PowerFunctionEma(module)
    change(module)
    ema.update(16, 16)
    for name, tensor in module.state_dict().items():
        assert torch.equal(ema.weights(0.05)[name], tensor)


def test_buffers_are_those_of_the_network():
    module = make_module()
    ema = edm2.PowerFunctionEma(module, stds=[0.1])
    for step in range(1, 4):
        change(module)
        ema.update(step, 1)
    averages = ema.weights(0.1)
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(averages[name], module.state_dict()[name])
    assert not torch.equal(averages["0.weight"], module[0].weight)


def test_averages_share_memory():
    module = make_module()
    ema = edm2.PowerFunctionEma(module, stds=[0.1])
    first = ema.weights(0.1)["0.weight"]
    change(module)
    ema.update(1, 1)
    assert first.data_ptr() == ema.weights(0.1)["0.weight"].data_ptr() != module[0].weight.data_ptr()
    assert torch.equal(first, module[0].weight)


def test_tensors_of_all_kinds():
    tensors = {"a": torch.randn(3), "half": torch.randn(4).half(), "brain": torch.randn(4).bfloat16(),
               "scalar": torch.tensor(1.0), "turned": torch.randn(3, 4).t(), "empty": torch.zeros(0),
               "count": torch.tensor(3), "flags": torch.tensor([True, False])}
    ema = edm2.PowerFunctionEma(tensors, stds=[0.1])
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.add_(1)
    ema.update(1, 1)
    for name, average in ema.weights(0.1).items():
        assert torch.equal(average, tensors[name]), name
    by_pairs = edm2.PowerFunctionEma(make_module().named_parameters(), stds=[0.1])
    assert "2.bias" in by_pairs.weights(0.1)
    by_parameters = edm2.PowerFunctionEma(make_module().parameters(), stds=[0.1])
    assert list(by_parameters.weights(0.1)) == ["0", "1", "2", "3", "4", "5"]


def test_copying():
    module, other = make_module(), make_module()
    ema = edm2.PowerFunctionEma(module, stds=[0.1])
    change(module)
    ema.update(1, 1)
    change(other)
    ema.copy_to(other, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), other.state_dict().values()))
    of_parameters = edm2.PowerFunctionEma(module.parameters(), stds=[0.1])
    change(other)
    of_parameters.copy_to(other.parameters(), 0.1)
    assert torch.equal(module[0].weight, other[0].weight)
    with pytest.raises(edm2.UsageError):
        of_parameters.copy_to([torch.zeros(3)], 0.1)


def test_wrong_use():
    module = make_module()
    for stds in ([], [0.3], [0.0], [float("nan")]):
        with pytest.raises(edm2.UsageError):
            edm2.PowerFunctionEma(module, stds)
    ema = edm2.PowerFunctionEma(module, stds=[0.1])
    for nimg, batch in ((0, 0), (8, 16), (-1, 1)):
        with pytest.raises(edm2.UsageError):
            ema.update(nimg, batch)
    with pytest.raises(edm2.UsageError, match="not 0.2"):
        ema.weights(0.2)
    module.append(torch.nn.Linear(2, 2))
    with pytest.raises(edm2.UsageError, match="begun with"):
        ema.update(1, 1)


def test_going_on_later():
    module = make_module()
    ema = edm2.PowerFunctionEma(module)
    for step in range(1, 6):
        change(module)
        ema.update(step, 1)
    file = io.BytesIO()
    torch.save(ema.state_dict(), file)
    file.seek(0)
    later = edm2.PowerFunctionEma(module, stds=(0.2,))
    later.load_state_dict(torch.load(file))
    assert later.stds == [0.05, 0.1]
    change(module)
    ema.update(6, 1)
    later.update(6, 1)
    for std in ema.stds:
        assert all(torch.equal(a, b) for a, b in zip(ema.weights(std).values(), later.weights(std).values()))
    with pytest.raises(edm2.Error):
        later.load_state_dict({"stds": [0.1], "weights": [{"other": torch.zeros(2)}]})


@pytest.fixture(scope="module")
def snapshots_of_module(tmp_path_factory):
    """Snapshots of 16 times, and the average of length 0.15 that they are to give."""
    folder, module = tmp_path_factory.mktemp("snapshots"), make_module()
    ema = edm2.PowerFunctionEma(module, stds=(0.05, 0.10))
    wanted = edm2.PowerFunctionEma(module, stds=(0.15,))
    for step in range(1, 257):
        change(module)
        ema.update(step * 64, 64)
        wanted.update(step * 64, 64)
        if step % 16 == 0:
            paths = ema.save(folder, step * 64)
            assert len(paths) == 2
    return folder, {name: tensor.clone() for name, tensor in wanted.weights(0.15).items()}


def test_reconstruction(snapshots_of_module):
    folder, wanted = snapshots_of_module
    snapshots = edm2.Snapshots(folder)
    assert len(snapshots.files) == 32 and snapshots.files[-1].nimg == 16384
    assert {file.std for file in snapshots.files} == {0.05, 0.1}
    result = snapshots.reconstruct(0.15)
    solution = snapshots.solve(0.15)
    assert len(solution.coefficients) == 32 and sum(solution.coefficients) == pytest.approx(1)
    assert solution.error < 0.05
    for name, tensor in wanted.items():
        assert result[name].dtype == tensor.dtype
        if name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
            assert torch.equal(result[name], tensor), name  # buffers of the last snapshot
        else:
            assert (result[name] - tensor).abs().max() < 0.2 * max(tensor.std().item(), 1), name
    assert all(torch.equal(a, b) for a, b in zip(edm2.reconstruct(folder, 0.15).values(), result.values()))
    early = edm2.reconstruct(folder, 0.1, nimg=8192)
    assert not torch.equal(early["0.weight"], result["0.weight"])
    make_module().load_state_dict(result)


def test_wrong_reconstruction(snapshots_of_module, tmp_path):
    folder, _ = snapshots_of_module
    with pytest.raises(edm2.Error):
        edm2.Snapshots(tmp_path / "nowhere")
    with pytest.raises(edm2.Error):
        edm2.Snapshots(tmp_path)
    with pytest.raises(edm2.Error):
        edm2.reconstruct(folder, 0.1, nimg=8000)
    with pytest.raises(edm2.UsageError):
        edm2.reconstruct(folder, 0.4)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-8])
    with pytest.raises(edm2.Error, match="network-snapshot"):
        edm2.reconstruct(tmp_path, 0.1)


def test_times_that_names_cannot_tell(tmp_path):
    ema = edm2.PowerFunctionEma(make_module())
    for nimg in (0, 1000, 1025):
        with pytest.raises(edm2.UsageError, match="1024"):
            ema.save(tmp_path, nimg)


def test_runs_of_the_program(run_folder):
    snapshots = edm2.Snapshots(run_folder)
    weights = snapshots.reconstruct(0.07)
    assert snapshots.files[-1].nimg == 4096
    assert all(tensor.dtype == torch.float16 for tensor in weights.values() if tensor.is_floating_point())
    assert len(edm2.Sampler(f"{run_folder}@0.07", steps=2).generate("0-1")) == 2
