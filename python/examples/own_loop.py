"""A sampler of one's own: DPM-Solver++(2M), written out, around edm2's network."""

import torch

import edm2


def noise_levels(steps, sigma_min=0.002, sigma_max=80, rho=7):
    """From sigma_max down to sigma_min, then 0 (arXiv 2206.00364, Eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return [*levels.tolist(), 0.0]


def draw(denoise, x, labels=None, steps=32):
    """x: noise of deviation 80, [N,C,H,W]. Returns images from -1 to 1 (arXiv 2211.01095, Algorithm 2)."""
    levels = noise_levels(steps)
    former = former_h = None
    for sigma, following in zip(levels[:-1], levels[1:]):
        clean = denoise(x, sigma, labels)
        if following == 0:
            return clean
        h = torch.log(torch.tensor(sigma / following))
        estimate = clean if former is None else clean + (clean - former) * (h / (2 * former_h))
        x = following / sigma * x + (1 - following / sigma) * estimate
        former, former_h = clean, h


if __name__ == "__main__":
    network = edm2.load_denoiser("bundled:demo-emoji32.pkl")
    noise = 80 * torch.randn(4, network.img_channels, network.img_resolution, network.img_resolution)
    images = draw(network, noise.to(network.device), labels=torch.arange(4))
    pixels = (images * 127.5 + 128).clip(0, 255).to(torch.uint8)
    edm2.Batch(pixels, images, None, list(range(4))).save("own-loop.png")
