"""edm2's network in the samplers of k-diffusion (pip install k-diffusion)."""

import k_diffusion as K
import torch

import edm2


def draw(network, x, labels=None, steps=32):
    """x: noise of deviation 80, [N,C,H,W]. Returns images from -1 to 1."""
    sigmas = K.sampling.get_sigmas_karras(steps, 0.002, 80, rho=7, device=x.device)
    return K.sampling.sample_dpmpp_2m(network, x, sigmas, extra_args={"labels": labels}, disable=True)


if __name__ == "__main__":
    images = draw(edm2.load_denoiser("bundled:demo-emoji32.pkl", device="cpu"), 80 * torch.randn(4, 3, 32, 32))
    print(images.shape, images.min().item(), images.max().item())
