"""What the tests of the Python package have in common. They run with the installed package:

    pytest tests/python

EDM2_PROGRAM names a program to compare with, instead of the package's own. EDM2_LONG_TESTS=1 makes the tests of memory
long: 1,000 samplers, 10,000 evaluations of a network.
"""

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import edm2  # noqa: E402
from edm2 import _loader  # noqa: E402
from edm2.sampler import write_picture  # noqa: E402

SOURCE = Path(__file__).resolve().parents[2]
LONG = os.environ.get("EDM2_LONG_TESTS") == "1"
NETWORK = ["--preset=edm2-img64-xs", "--channels=8", "--channel-mult=1,2", "--num-blocks=1", "--attn-resolutions=4",
           "--channels-per-head=8"]


@pytest.fixture(scope="session")
def models():
    """The folder of the models that come along."""
    return SOURCE / "models"


@pytest.fixture(scope="session")
def sampler():
    return edm2.Sampler(preset="demo", steps=4)


@pytest.fixture(scope="session")
def denoiser():
    return edm2.load_denoiser("bundled:demo-emoji32.pkl")


@pytest.fixture(scope="session")
def run_program():
    """Runs the program with some words; returns the completed process."""
    program, variables = os.environ.get("EDM2_PROGRAM"), dict(os.environ)
    if program is None:  # the package's own, which does not know where torch is
        program = str(_loader.library_folder() / "edm2")
        variables["LD_LIBRARY_PATH"] = _loader.library_path(_loader.torch_folder(), os.environ.get("LD_LIBRARY_PATH"))

    def run(*words):
        return subprocess.run([program, *map(str, words)], env=variables, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=300)

    return run


@pytest.fixture
def run_python(tmp_path):
    """Starts a script in an interpreter of its own."""
    script, processes = tmp_path / "script.py", []

    def start(text):
        script.write_text(text, encoding="utf-8")
        with open(tmp_path / "stderr.txt", "w", encoding="utf-8") as errors:  # a pipe that nobody empties could fill up
            processes.append(subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, text=True,
                                              stdout=subprocess.PIPE, stderr=errors))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 24 pictures of 12x10 pixels in two classes."""
    folder, rng = tmp_path_factory.mktemp("files") / "photos", random.Random(1)
    for i in range(24):
        values = [rng.randrange(256) for _ in range(3)]
        picture = torch.tensor(values, dtype=torch.uint8).expand(10, 12, 3).clone()
        picture[:5] = rng.randrange(256)
        write_picture(folder / ("light" if i % 2 else "dark") / f"{i:02d}.png", picture)
    return folder


@pytest.fixture(scope="session")
def dataset_zip(photos):
    """The pictures as a dataset of 8x8 pixels."""
    path = photos.parent / "photos-8x8.zip"
    edm2.dataset.convert(photos, path, transform="center-crop", resolution="8x8")
    return path


@pytest.fixture(scope="session")
def run_folder(dataset_zip):
    """A training run of 4096 images with snapshots at each 1024."""
    folder = dataset_zip.parent / "run"
    edm2.run(["train", f"--data={dataset_zip}", f"--outdir={folder}", *NETWORK, "--batch=256", "--duration=4Ki",
              "--rampup=1024", "--snapshot=1Ki", "--checkpoint=4Ki", "--status=1Ki", "--tensorboard=false"])
    return folder


@pytest.fixture(scope="session")
def dinov2_weights(tmp_path_factory):
    """A DINOv2 with random weights and one block of 64 dimensions."""
    generator, dim, tensors = torch.Generator().manual_seed(0), 64, {}

    def put(name, *shape, scale, offset=0.0):
        tensors[name] = offset + scale * torch.randn(shape, generator=generator)

    put("cls_token", 1, 1, dim, scale=1)
    put("pos_embed", 1, 257, dim, scale=0.5)
    put("mask_token", 1, dim, scale=1)
    put("patch_embed.proj.weight", dim, 3, 14, 14, scale=0.05)
    put("patch_embed.proj.bias", dim, scale=0.1)
    for name, inputs, outputs in [("attn.qkv", dim, 3 * dim), ("attn.proj", dim, dim), ("mlp.fc1", dim, 4 * dim),
                                  ("mlp.fc2", 4 * dim, dim)]:
        put(f"blocks.0.{name}.weight", outputs, inputs, scale=inputs ** -0.5)
        put(f"blocks.0.{name}.bias", outputs, scale=0.1)
    for name in ("blocks.0.norm1", "blocks.0.norm2", "norm"):
        put(name + ".weight", dim, scale=0.1, offset=1)
        put(name + ".bias", dim, scale=0.1)
    for name in ("ls1", "ls2"):
        put(f"blocks.0.{name}.gamma", dim, scale=0.1, offset=1)
    path = tmp_path_factory.mktemp("dinov2") / "dinov2.safetensors"
    write_safetensors(path, tensors)
    return path


def write_safetensors(path, tensors):
    """tensors: {name: float32 tensor}."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        values = tensor.flatten().tolist()
        part = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
