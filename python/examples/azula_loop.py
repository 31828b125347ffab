"""edm2's network in the samplers of azula (pip install azula)."""

import azula.denoise
import azula.noise
import azula.sample
import torch

import edm2


class EdmSchedule(azula.noise.Schedule):
    """The noise levels of arXiv 2206.00364, Eq. 5, for times from 1 down to 0."""

    def __init__(self, sigma_min=0.002, sigma_max=80, rho=7):
        self.low, self.high, self.rho = sigma_min ** (1 / rho), sigma_max ** (1 / rho), rho

    def __call__(self, t):
        return torch.ones_like(t), (self.low + t * (self.high - self.low)) ** self.rho


class EdmDenoiser(azula.denoise.Denoiser):
    """azula's denoisers give the mean of clean images at a time."""

    def __init__(self, network, schedule):
        super().__init__()
        self.network, self.schedule = network, schedule

    def forward(self, x_t, t, labels=None):
        return azula.denoise.DiracPosterior(mean=self.network(x_t, self.schedule(t)[1], labels))


def draw(network, x, labels=None, steps=32):
    """x: noise of deviation 80, [N,C,H,W]. Returns images from -1 to 1."""
    sampler = azula.sample.HeunSampler(EdmDenoiser(network, EdmSchedule()), steps=steps, silent=True)
    return sampler(x, labels=labels)


if __name__ == "__main__":
    images = draw(edm2.load_denoiser("bundled:demo-emoji32.pkl", device="cpu"), 80 * torch.randn(4, 3, 32, 32))
    print(images.shape, images.min().item(), images.max().item())
