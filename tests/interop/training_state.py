"""PyTorch's side of the training state tests: `check FILE` loads FILE with torch.load's defaults into the objects that the
original's loader fills; `resave FILE TARGET` writes those as the original does (its dict class, numpy's float)."""

import sys
import types
from collections import OrderedDict

import numpy as np
import torch


class EasyDict(dict):
    pass


def load(path):
    """The file's contents, and an optimizer that has taken its state."""
    data = torch.load(path)  # weights_only=True since PyTorch 2.6
    assert list(data) == ["state", "net", "loss_fn", "optimizer", "ema"], list(data)
    module = torch.nn.Module()
    for name, tensor in data["net"].items():
        assert tensor.dtype == torch.float32, name
        place = module
        *parents, last = name.split(".")
        for parent in parents:
            if not hasattr(place, parent):
                place.add_module(parent, torch.nn.Module())
            place = getattr(place, parent)
        if last in ("freqs", "phases"):
            place.register_buffer(last, torch.zeros_like(tensor))
        else:
            place.register_parameter(last, torch.nn.Parameter(torch.zeros_like(tensor)))
    module.load_state_dict(data["net"])
    optimizer = torch.optim.Adam(module.parameters(), betas=(0.9, 0.99), eps=1e-8)
    optimizer.load_state_dict(data["optimizer"])
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
        state = optimizer.state[parameter]
        assert state["exp_avg"].shape == parameter.shape and state["exp_avg_sq"].shape == parameter.shape
        assert state["step"].dtype == torch.float32 and state["step"].shape == ()
    assert data["ema"]["stds"] == [0.05, 0.1]
    for ema in data["ema"]["emas"]:
        assert list(ema) == list(data["net"])
        module.load_state_dict(ema)
    module.load_state_dict(data["net"])
    return data, module, optimizer


data, module, optimizer = load(sys.argv[2])
if sys.argv[1] == "check":
    step = next(iter(optimizer.state.values()))["step"].item()
    optimizer.step()  # with what has been loaded
    assert next(iter(optimizer.state.values()))["step"].item() == step + 1
    print("parameters", len(list(module.parameters())))
    print("cur_nimg", data["state"]["cur_nimg"])
else:
    sys.modules["dnnlib"] = types.ModuleType("dnnlib")
    sys.modules["dnnlib.util"] = types.ModuleType("dnnlib.util")
    sys.modules["dnnlib.util"].EasyDict = EasyDict
    EasyDict.__module__ = "dnnlib.util"
    for group in optimizer.param_groups:
        group["lr"] = np.float64(group["lr"])
    target = dict(state=EasyDict(data["state"]), net=module.state_dict(), loss_fn=data["loss_fn"],
                  optimizer=optimizer.state_dict(), ema=dict(stds=data["ema"]["stds"],
                  emas=[OrderedDict(ema) for ema in data["ema"]["emas"]]))
    torch.save(target, sys.argv[3])
