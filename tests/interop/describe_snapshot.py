"""Describes a network snapshot with nothing but Python's own pickle.

Stand-in classes play the original's part. Prints one line per tensor (name, dtype, shape, CRC-32 of the
raw bytes) after "tensors", and one line per attribute of every object after "skeleton".
usage: python3 describe_snapshot.py FILE
"""

import io
import pickle
import struct
import sys
import zlib
from collections import OrderedDict

DTYPES = {"HalfStorage": ("float16", 2), "FloatStorage": ("float32", 4), "DoubleStorage": ("float64", 8),
          "BFloat16Storage": ("bfloat16", 2)}


class EasyDict(dict):
    pass


class Persistent:
    def __init__(self, meta):
        assert meta["type"] == "class" and meta["version"] == 6, meta
        assert isinstance(meta["module_src"], str) and "import" in meta["module_src"]
        self.class_name, self.state = meta["class_name"], meta["state"]


class ModuleDict:
    def __setstate__(self, state):
        self.class_name, self.state = "ModuleDict", state


class ndarray:
    def __init__(self, *arguments):
        pass

    def __setstate__(self, state):
        version, shape, dtype, fortran, data = state
        assert version == 1 and not fortran
        self.text = f"array {dtype.code} {shape} {data.hex()}"


class dtype:
    def __init__(self, code, align, copy):
        self.code = code

    def __setstate__(self, state):
        assert state[1] in "<|", state


class Tensor:
    def __init__(self, storage, offset, size, stride, requires_grad, hooks):
        expected, count = [], 1
        for length in reversed(size):
            expected.insert(0, count)
            count *= length
        name, self.data = storage
        self.dtype, item = DTYPES[name]
        assert list(stride) == expected and offset == 0, (size, stride, offset)
        assert len(self.data) == count * item and requires_grad is False and hooks == OrderedDict()
        self.size = size


def load_storage(data):
    """The bytes of torch.storage._load_from_bytes: five pickles, then the elements."""
    stream = io.BytesIO(data)
    assert pickle.load(stream) == 0x1950A86A20F9469CFC6C
    assert pickle.load(stream) == 1001
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    assert pickle.load(stream) == system

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            assert module == "torch", module
            return name

        def persistent_load(self, identity):
            return identity

    kind, storage, key, location, count, view = Unpickler(stream).load()
    assert kind == "storage" and location == "cpu" and view is None
    assert pickle.load(stream) == [key]
    assert struct.unpack("<q", stream.read(8))[0] == count
    return storage, stream.read()


GLOBALS = {
    "dnnlib.util.EasyDict": EasyDict,
    "torch_utils.persistence._reconstruct_persistent_obj": Persistent,
    "torch.nn.modules.container.ModuleDict": ModuleDict,
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_parameter": lambda tensor, grad, hooks: ("parameter", tensor, grad, hooks),
    "torch._utils._rebuild_tensor_v2": Tensor,
    "torch.storage._load_from_bytes": load_storage,
    "numpy.core.multiarray._reconstruct": lambda cls, shape, code: cls(),
    "numpy._core.multiarray._reconstruct": lambda cls, shape, code: cls(),
    "numpy.ndarray": ndarray,
    "numpy.dtype": dtype,
}


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return GLOBALS[f"{module}.{name}"]


def describe(value, path, tensors, skeleton):
    if isinstance(value, tuple) and value and value[0] == "parameter":
        assert value[2] is False and value[3] == OrderedDict(), path
        skeleton.append(f"{path} parameter")
        value = value[1]
    if isinstance(value, (Persistent, ModuleDict)):
        skeleton.append(f"{path} object {value.class_name}")
        for key, item in value.state.items():
            describe(item, f"{path}.{key}", tensors, skeleton)
    elif isinstance(value, dict):
        kind = type(value).__name__ if path.endswith("hooks") or not value else "dict"
        skeleton.append(f"{path} {kind} {len(value)}")
        items = sorted(value.items()) if path.endswith("_init_kwargs") else value.items()
        for key, item in items:
            describe(item, f"{path}.{key}", tensors, skeleton)
    elif isinstance(value, Tensor):
        # "ema._modules.unet._parameters.out_gain" -> "unet.out_gain"
        name = ".".join(part for part in path.split(".")[1:] if not part.startswith("_"))
        shape = "x".join(str(size) for size in value.size) or "scalar"
        tensors.append(f"{name} {value.dtype} {shape} {zlib.crc32(value.data)}")
        skeleton.append(f"{path} tensor")
    elif isinstance(value, (bool, str, type(None))):
        skeleton.append(f"{path} {value!r}")
    elif isinstance(value, (int, float)):
        skeleton.append(f"{path} {float(value)!r}")
    elif isinstance(value, (list, tuple)):
        skeleton.append(f"{path} {type(value).__name__} {[float(item) for item in value]}")
    elif isinstance(value, ndarray):
        skeleton.append(f"{path} {value.text}")
    else:
        skeleton.append(f"{path} {value!r}")


def main():
    with open(sys.argv[1], "rb") as file:
        root = Unpickler(file).load()
        assert file.read() == b"", "bytes after the pickle"
    assert isinstance(root, EasyDict)
    tensors, skeleton = [], []
    for key, value in root.items():
        describe(value, key, tensors, skeleton)
    print("tensors", *tensors, "skeleton", *skeleton, sep="\n")


main()
