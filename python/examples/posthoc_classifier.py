"""Post-hoc EMA for any network: trains a small classifier, stores averages of its weights now and then, and asks
afterwards which EMA length would have been best. No length in the table but two was ever computed during training."""

import math
import sys
from pathlib import Path

import torch

import edm2

BATCH, TOTAL = 16, 48 * 1024  # samples


def draw_samples(count, generator):
    """Two spirals, blurred: points [count,2] and their classes [count]."""
    labels = torch.randint(2, (count,), generator=generator)
    t = torch.rand(count, generator=generator).sqrt() * 3 * math.pi
    angle = t + labels * math.pi
    points = torch.stack([t * angle.cos(), t * angle.sin()], dim=1) / 9
    return points + 0.07 * torch.randn(count, 2, generator=generator), labels


def train(model, folder):
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)  # constant and large: EMA does the rest
    ema = edm2.PowerFunctionEma(model, stds=(0.05, 0.10))
    for seen in range(BATCH, TOTAL + 1, BATCH):
        points, labels = draw_samples(BATCH, generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(points), labels).backward()
        optimizer.step()
        ema.update(seen, BATCH)
        if seen % (8 * 1024) == 0:
            ema.save(folder, seen, prefix="classifier")


@torch.no_grad()
def test_loss(model):
    points, labels = draw_samples(8192, torch.Generator().manual_seed(1))
    return torch.nn.functional.cross_entropy(model(points), labels).item()


def main(folder):
    """Returns the loss for each EMA length; None is the length of no average."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(),
                                torch.nn.Linear(64, 2))
    train(model, folder)
    losses = {None: test_loss(model)}
    print(f"EMA length   expected error   test loss\n       none                      {losses[None]:.4f}")
    snapshots = edm2.Snapshots(folder)
    for length in (0.02, 0.05, 0.075, 0.10, 0.15, 0.20, 0.25):
        model.load_state_dict(snapshots.reconstruct(length))
        losses[length] = test_loss(model)
        print(f"      {length:.3f}       {snapshots.solve(length).error:8.2%}      {losses[length]:.4f}")
    return losses


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "classifier-snapshots"))
