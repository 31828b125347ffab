#!/usr/bin/env bash
# ema-pytorch: KarrasEMA and PostHocEMA compute their decay as if every step were an update, so with update_every=10 (100 unless told otherwise) the average hangs on to the beginning of training; whoever looks for the best EMA length afterwards compares averages of other lengths than their names say.
#
# Versions: ema-pytorch 0.8.3, torch 2.11.0, numpy 2.4.6 (which it imports without asking for it); Python 3.10 and newer.
# What is done: a "network" of one weight, which is t/10000 at step t of 10000, so that the average is the mean time that
#   it remembers. For sigma_rel = 0.10 the power function has that mean at (gamma + 1) / (gamma + 2) = 0.888. The same
#   is then asked of PostHocEMA, for sigma_rel = 0.15 (0.820), put together from averages of 0.05 and 0.10.
# What one expects: update_every makes the average coarser and cheaper, not another one: 0.88 to 0.89 in all cases.
# What happens: 0.888 with update_every=1, 0.442 with 10, 0.073 with 100; PostHocEMA 0.819, 0.356, 0.045. beta is
#   (1 - 1 / (step + 1)) ^ (1 + gamma), the decay of one step, but it is applied once in update_every steps only. Nothing is
#   said, names of checkpoints and sigma_rel look as always, and the network merely looks badly trained.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 ema-pytorch==0.8.3 numpy==2.4.6
cd "$folder"
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'END'
from importlib.metadata import version

import torch
from ema_pytorch import KarrasEMA, PostHocEMA

STEPS = 10000


class Clock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.time = torch.nn.Parameter(torch.zeros(1))


def train(clock, ema):
    for step in range(1, STEPS + 1):
        with torch.no_grad():
            clock.time.fill_(step / STEPS)
        ema.update()


def karras(update_every):
    clock = Clock()
    ema = KarrasEMA(clock, sigma_rel=0.10, update_every=update_every)
    train(clock, ema)
    return ema.ema_model.time.item()


def post_hoc(update_every):
    clock = Clock()
    ema = PostHocEMA(clock, sigma_rels=(0.05, 0.10), update_every=update_every, checkpoint_every_num_steps=1000,
                     checkpoint_folder=f"every-{update_every}", checkpoint_dtype=torch.float32)
    train(clock, ema)
    return ema.synthesize_ema_model(sigma_rel=0.15).ema_model.time.item()


print(f"ema-pytorch {version('ema-pytorch')}, torch {torch.__version__}")
found = {every: (karras(every), post_hoc(every)) for every in (1, 10, 100)}
for every, (live, made) in found.items():
    print(f"update_every={every}: mean time {live:.3f} (0.888 asked for), post hoc {made:.3f} (0.820 asked for)")
right = abs(found[1][0] - 0.888) < 0.01 and abs(found[1][1] - 0.820) < 0.01
if not (right and found[10][0] < 0.6 and found[100][0] < 0.2 and found[10][1] < 0.6 and found[100][1] < 0.2):
    raise SystemExit("CHANGED: update_every is taken into account now")
END
echo "as described: another average than asked for, by update_every"
