"""PyTorch's side of the torch file tests: `load FILE` prints what FILE holds, `save FOLDER` writes samples."""

import sys
from collections import OrderedDict

import torch


def describe(value, path="root"):
    if isinstance(value, torch.Tensor):
        numbers = value.to(torch.float64).flatten().tolist()
        print(path, str(value.dtype).removeprefix("torch."), list(value.shape), numbers)
    elif isinstance(value, dict):
        print(path, type(value).__name__)
        for key, item in value.items():
            describe(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        print(path, type(value).__name__)
        for index, item in enumerate(value):
            describe(item, f"{path}.{index}")
    else:
        print(path, repr(value))


def save(folder):
    base = torch.arange(12, dtype=torch.float32)
    root = {
        "view": base.reshape(3, 4).t(),
        "same": base,
        "part": base[5:7],
        "half": torch.tensor([1.5, -2], dtype=torch.float16),
        "bfloat": torch.tensor([1.5, -2], dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "state": OrderedDict(a=torch.tensor(7), b=None),
        "numbers": [1, 2.5, 2**40, -(2**40), True, (1, ())],
        "text": "ä",
    }
    root["state"]._metadata = OrderedDict(version=1)
    torch.save(root, f"{folder}/zip.pt")
    torch.save(root, f"{folder}/legacy.pt", _use_new_zipfile_serialization=False)


if sys.argv[1] == "load":
    describe(torch.load(sys.argv[2], weights_only=True))
else:
    save(sys.argv[2])
