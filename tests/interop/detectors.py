"""Detectors with random weights, as other tools build and save them, and what they make of random pictures.

    inception FOLDER      pytorch-fid's InceptionV3: state dict, TorchScript and pickle with NVIDIA's names
    dinov2 FOLDER NAME    timm's vision transformer NAME ("tiny-gated": a small one with SwiGLU)

Pictures and results go into FOLDER/expected.npz.
"""

import pickle
import sys
import types

import numpy as np
import torch
import torch.nn.functional as F

torch.set_grad_enabled(False)


def random_pictures(count, size):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


# ---- InceptionV3


def pytorch_fid_network():
    import pytorch_fid.inception as pf

    net = pf._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    for name, block in {
        "Mixed_5b": pf.FIDInceptionA(192, 32),
        "Mixed_5c": pf.FIDInceptionA(256, 64),
        "Mixed_5d": pf.FIDInceptionA(288, 64),
        "Mixed_6b": pf.FIDInceptionC(768, 128),
        "Mixed_6c": pf.FIDInceptionC(768, 160),
        "Mixed_6d": pf.FIDInceptionC(768, 160),
        "Mixed_6e": pf.FIDInceptionC(768, 192),
        "Mixed_7b": pf.FIDInceptionE_1(1280),
        "Mixed_7c": pf.FIDInceptionE_2(2048),
    }.items():
        setattr(net, name, block)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.uniform_(0.7, 1.3)
            module.bias.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.7, 1.3)
    return net.eval()


def inception_features(net, pictures):
    height, width = pictures.shape[2:]
    theta = torch.eye(2, 3)
    theta[0, 2] += theta[0, 0] / width - theta[0, 0] / 299
    theta[1, 2] += theta[1, 1] / height - theta[1, 1] / 299
    grid = F.affine_grid(theta.unsqueeze(0).repeat(len(pictures), 1, 1), [len(pictures), 3, 299, 299], align_corners=False)
    x = F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    x = (x - 128) / 128
    features = []
    net.avgpool.register_forward_hook(lambda module, inputs, output: features.append(output.flatten(1)))
    net(x)
    return features[0]


NVIDIA_NAMES = {
    **{f"Conv2d_{old}": new for old, new in zip(["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"], ["conv", "conv_1", "conv_2", "conv_3", "conv_4"])},
}
TOWERS = {
    "A": ["branch1x1:conv", "branch5x5_1:tower.conv", "branch5x5_2:tower.conv_1", "branch3x3dbl_1:tower_1.conv", "branch3x3dbl_2:tower_1.conv_1", "branch3x3dbl_3:tower_1.conv_2", "branch_pool:tower_2.conv"],
    "B": ["branch3x3:conv", "branch3x3dbl_1:tower.conv", "branch3x3dbl_2:tower.conv_1", "branch3x3dbl_3:tower.conv_2"],
    "C": ["branch1x1:conv", "branch7x7_1:tower.conv", "branch7x7_2:tower.conv_1", "branch7x7_3:tower.conv_2"]
    + [f"branch7x7dbl_{i + 1}:tower_1.conv{'_' + str(i) if i else ''}" for i in range(5)]
    + ["branch_pool:tower_2.conv"],
    "D": ["branch3x3_1:tower.conv", "branch3x3_2:tower.conv_1"] + [f"branch7x7x3_{i + 1}:tower_1.conv{'_' + str(i) if i else ''}" for i in range(4)],
    "E": ["branch1x1:conv", "branch3x3_1:tower_conv", "branch3x3_2a:tower_mixed_conv", "branch3x3_2b:tower_mixed_conv_1", "branch3x3dbl_1:tower_1_conv", "branch3x3dbl_2:tower_1_conv_1", "branch3x3dbl_3a:tower_1_mixed_conv", "branch3x3dbl_3b:tower_1_mixed_conv_1", "branch_pool:tower_2_conv"],
}
for index, (block, kind) in enumerate(zip(["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"], "AAABCCCCDEE")):
    mixed = "mixed" + (f"_{index}" if index else "")
    for pair in TOWERS[kind]:
        old, new = pair.split(":")
        NVIDIA_NAMES[f"Mixed_{block}.{old}"] = f"{mixed}.{new}"


class Conv2dLayer(torch.nn.Module):
    """A convolution as NVIDIA's file keeps it: without the factor of batch normalization."""

    def __init__(self, basic):
        super().__init__()
        scale = basic.bn.weight / torch.sqrt(basic.bn.running_var + 1e-3)
        parameter = lambda x: torch.nn.Parameter(x.clone(), requires_grad=False)
        self.weight = parameter(basic.conv.weight)
        self.beta = parameter(basic.bn.bias)
        self.mean = parameter(basic.bn.running_mean)
        self.var = parameter(1 / scale**2 - 1e-3)
        self.stride = list(basic.conv.stride)

    def forward(self, x):
        return x


class Holder(torch.nn.Module):
    def forward(self, x):
        return x


def nvidia_tree(net):
    root = Holder()
    root.layers = Holder()
    for old, new in NVIDIA_NAMES.items():
        parent = root.layers
        *parts, leaf = new.split(".")
        for part in parts:
            if not hasattr(parent, part):
                parent.add_module(part, Holder())
            parent = getattr(parent, part)
        parent.add_module(leaf, Conv2dLayer(net.get_submodule(old)))
    root.output = net.fc
    return root.eval()


def save_as_persistent_pickle(tree, path):
    """Pickles a module tree the way the original's persistence module does."""
    persistence = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta):
        raise NotImplementedError

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules["torch_utils"] = types.ModuleType("torch_utils")
    sys.modules["torch_utils.persistence"] = persistence

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj):
            if isinstance(obj, (Holder, Conv2dLayer)):
                meta = {"type": "class", "version": 6, "module_src": "", "class_name": type(obj).__name__, "state": obj.__dict__}
                return _reconstruct_persistent_obj, (meta,)
            return NotImplemented

    with open(path, "wb") as file:
        Pickler(file).dump(tree)


def inception(folder):
    torch.manual_seed(1)
    net = pytorch_fid_network()
    torch.save(net.state_dict(), f"{folder}/inception.pth")
    tree = nvidia_tree(net)
    torch.jit.script(tree).save(f"{folder}/inception.pt")
    save_as_persistent_pickle(tree, f"{folder}/inception.pkl")
    results = {}
    for size in (64, 299, 512):
        pictures = random_pictures(2, size)
        features = inception_features(net, pictures)
        results[f"pictures_{size}"] = pictures.numpy()
        results[f"features_{size}"] = features.numpy()
        results[f"probabilities_{size}"] = torch.softmax(features @ net.fc.weight.T, 1).numpy()
    np.savez(f"{folder}/expected.npz", **results)


# ---- DINOv2


def dinov2(folder, name):
    import safetensors.torch
    import timm

    torch.manual_seed(1)
    options = dict(pretrained=False, num_classes=0, img_size=224)
    if name == "tiny-gated":
        net = timm.create_model("vit_giant_patch14_dinov2", embed_dim=128, depth=2, num_heads=2, **options)
    else:
        net = timm.create_model(name, **options)
    net.eval()
    for parameter_name, parameter in net.named_parameters():
        if parameter.dim() == 1 and not parameter_name.endswith("bias"):
            parameter.uniform_(0.3, 1)  # norms and layer scales
        elif parameter.dim() == 1:
            parameter.normal_(0, 0.1)
        else:
            parameter.normal_(0, (parameter[0].numel() if parameter.dim() != 3 else 4) ** -0.5)
    torch.save(net.state_dict(), f"{folder}/dinov2.pth")
    safetensors.torch.save_file(net.state_dict(), f"{folder}/dinov2.safetensors")
    pictures = random_pictures(2, 256)
    x = F.interpolate(pictures.float(), (224, 224), mode="bicubic", antialias=True, align_corners=False) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    features = net.forward_features(x)[:, 0]
    np.savez(f"{folder}/expected.npz", pictures=pictures.numpy(), features=features.numpy())


if __name__ == "__main__":
    {"inception": inception, "dinov2": dinov2}[sys.argv[1]](*sys.argv[2:])
