"""diffusers' side of the VAE tests: `autoencoder.py FOLDER` saves a random AutoencoderKL in every form that is in use.

FOLDER/new (safetensors), FOLDER/bin (torch file), FOLDER/old and FOLDER/old_bin (names of attention layers before
2023); FOLDER/expected.safetensors: x -> mean, std; z -> decoded.
"""

import pathlib
import shutil
import sys

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(11)
torch.set_grad_enabled(False)
vae = AutoencoderKL(
    down_block_types=["DownEncoderBlock2D"] * 3,
    up_block_types=["UpDecoderBlock2D"] * 3,
    block_out_channels=[16, 24, 32],
    layers_per_block=2,
    norm_num_groups=8,
).eval()
for parameter in vae.parameters():  # biases and gains that do something, too
    parameter.add_(torch.randn_like(parameter) * 0.05)

vae.save_pretrained(folder / "new")
vae.save_pretrained(folder / "bin", safe_serialization=False)
renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
old = {}
for name, tensor in load_file(folder / "new/diffusion_pytorch_model.safetensors").items():
    for now, before in renamed.items():
        name = name.replace(f".{now}.", f".{before}.")
    old[name] = tensor
for name in ("old", "old_bin"):
    (folder / name).mkdir()
    shutil.copy(folder / "new/config.json", folder / name)
save_file(old, folder / "old/diffusion_pytorch_model.safetensors")
torch.save(old, folder / "old_bin/diffusion_pytorch_model.bin")

x = torch.rand(2, 3, 32, 24)
z = torch.randn(2, 4, 8, 6)
posterior = vae.encode(x).latent_dist
save_file(
    {
        "x": x,
        "mean": posterior.mean.contiguous(),
        "std": posterior.std.contiguous(),
        "z": z,
        "decoded": vae.decode(z).sample.contiguous(),
    },
    folder / "expected.safetensors",
)
# Both ways: what we have written loads there, too.
for path in sys.argv[2:]:
    ours = AutoencoderKL.from_pretrained(path).eval()
    save_file({"decoded": ours.decode(z).sample.contiguous()}, f"{path}/decoded.safetensors")
