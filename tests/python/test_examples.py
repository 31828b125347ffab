"""python/examples, and loops of other packages that call the network."""

import re
import runpy

import pytest
import torch

import edm2
from conftest import SOURCE

EXAMPLES = SOURCE / "python" / "examples"


def run_example(name):
    return runpy.run_path(str(EXAMPLES / name))


def noise():
    return 80 * torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def limit(denoiser):
    """What all loops go to: Heun's method in many steps."""
    x, levels = noise(), run_example("own_loop.py")["noise_levels"](64)
    for sigma, following in zip(levels[:-1], levels[1:]):
        slope = (x - denoiser(x, sigma, labels=[1, 2])) / sigma
        ahead = x + (following - sigma) * slope
        if following > 0:
            slope = (slope + (ahead - denoiser(ahead, following, labels=[1, 2])) / following) / 2
        x = x + (following - sigma) * slope
    return x


@pytest.mark.parametrize("package, script", [("azula", "azula_loop.py"), ("k_diffusion", "k_diffusion_loop.py"),
                                             ("diffusers", "diffusers_loop.py")])
def test_loops_of_other_packages(package, script, denoiser, limit):
    pytest.importorskip(package, exc_type=ImportError)
    example = run_example(script)
    images = example["draw"](denoiser, noise(), labels=torch.tensor([1, 2]))
    assert images.shape == limit.shape
    assert (images - limit).square().mean().sqrt() < 0.1


def test_own_loop(denoiser, limit):
    images = run_example("own_loop.py")["draw"](denoiser, noise(), labels=torch.tensor([1, 2]))
    assert (images - limit).square().mean().sqrt() < 0.1


def test_classifier_finds_its_best_length(tmp_path):
    losses = run_example("posthoc_classifier.py")["main"](tmp_path)
    best = min(losses, key=losses.get)
    assert best is not None and losses[best] < 0.9 * losses[None]
    assert len(losses) > 5
    assert edm2.Snapshots(tmp_path).files


def test_guide(photos, tmp_path, monkeypatch):
    """All Python blocks of the guide's page, one after the other, but for those that download."""
    text = (SOURCE / "docs" / "guide" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(<!-- test: skip [^\n]*-->\n)?```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 8
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    names = {}
    for skip, block in blocks:
        if not skip:
            exec(compile(block, block, "exec"), names)  # pylint: disable=exec-used
    assert (tmp_path / "sheet.png").exists() and (tmp_path / "photos.png").exists()
