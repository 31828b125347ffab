"""Memory does not grow over many objects and calls."""

import gc
import os
import weakref

import torch

import edm2
from conftest import LONG


def resident():
    """Bytes of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(action, warm_up, count):
    """By how many bytes the process grows over `count` calls."""
    for _ in range(warm_up):
        action()
    gc.collect()
    before = resident()
    for _ in range(count):
        action()
    gc.collect()
    return resident() - before


def test_samplers():
    count = 1000 if LONG else 20
    assert growth(lambda: edm2.Sampler(preset="demo", steps=1).generate(0), 5, count) < 32e6


def test_cycles_are_collected():
    class Owner:
        def __init__(self):
            self.sampler = edm2.Sampler(preset="demo", progress=self.show)
            self.ema = edm2.PowerFunctionEma([torch.zeros(3)])

        def show(self, *piece):
            raise AssertionError(piece)

    gone = weakref.ref(Owner())
    gc.collect()
    assert gone() is None


def test_calls_of_a_denoiser(denoiser):
    x, sigma = torch.randn(1, 3, 32, 32), torch.tensor(1.0)
    # A result of 12 KB would be lost each time, too.
    assert growth(lambda: denoiser(x, sigma), 50, 10000 if LONG else 500) < (8e6 if LONG else 4e6)


def test_errors_and_callbacks(sampler):
    def fail(step):
        raise ValueError("x" * 10000)

    def action():
        try:
            sampler.generate(0, steps=1, on_step=fail)
        except ValueError:
            pass

    assert growth(action, 20, 2000 if LONG else 200) < 4e6


def test_averages():
    module = torch.nn.Linear(1000, 1000)
    ema = edm2.PowerFunctionEma(module, stds=[0.1])
    steps = iter(range(1, 10**9))

    def action():
        ema.update(next(steps), 1)
        ema.weights(0.1)

    assert growth(action, 20, 2000 if LONG else 100) < 8e6
