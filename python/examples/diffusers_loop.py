"""edm2's network with the EDM schedulers of diffusers (pip install diffusers)."""

import torch
from diffusers import EDMDPMSolverMultistepScheduler

import edm2


def draw(network, x, labels=None, steps=32):
    """x: noise of deviation 80, [N,C,H,W]. Returns images from -1 to 1."""
    scheduler = EDMDPMSolverMultistepScheduler(sigma_min=0.002, sigma_max=80, sigma_data=0.5)
    scheduler.set_timesteps(steps, device=x.device)
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas):
        # Schedulers want what a raw network gives, and make this of it: clean = c_skip * x + c_out * output.
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        skipped = scheduler.precondition_outputs(x, zero, sigma)
        c_out = scheduler.precondition_outputs(zero, one, sigma)
        x = scheduler.step((network(x, sigma, labels) - skipped) / c_out, timestep, x).prev_sample
    return x


if __name__ == "__main__":
    images = draw(edm2.load_denoiser("bundled:demo-emoji32.pkl", device="cpu"), 80 * torch.randn(4, 3, 32, 32))
    print(images.shape, images.min().item(), images.max().item())
