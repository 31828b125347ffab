"""Python's side of converted networks: prints for each file one line per tensor (name, dtype, shape, CRC-32 of the
raw bytes), in order, then something of the configuration that travels with it.
usage: python3 state_dict.py FILE...    (.pt or .safetensors)
"""

import json
import sys
import zipfile
import zlib

import torch
from safetensors import safe_open


def load(path):
    if path.endswith(".safetensors"):
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.offset_keys()}, file.metadata()
    tensors = torch.load(path)  # weights_only by default
    with zipfile.ZipFile(path) as archive:
        (entry,) = [name for name in archive.namelist() if name.endswith("/edm2.json")]
        return tensors, {key: json.dumps(value) for key, value in json.loads(archive.read(entry)).items()}


for path in sys.argv[1:]:
    tensors, config = load(path)
    for name, tensor in tensors.items():
        shape = "x".join(str(size) for size in tensor.shape) or "scalar"
        data = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        print(name, str(tensor.dtype).removeprefix("torch."), shape, zlib.crc32(data))
    network, encoder = json.loads(config["network"]), json.loads(config["encoder"])
    print("network", network["model_channels"], "encoder", encoder["class_name"])
