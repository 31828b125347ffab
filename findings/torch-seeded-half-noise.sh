#!/usr/bin/env bash
# PyTorch: with the same seed, float16 and bfloat16 noise has nothing to do with float32 noise (it is not its rounding), and noise of 15 numbers nothing with the first 15 of 16; whoever compares precisions "with the same seed" compares different pictures.
#
# Versions: torch 2.11.0 (CPU); Python 3.10 and newer.
# What is done: torch.randn with a generator seeded 1, for several types and lengths, and the correlation of what comes out.
# What one expects: the same numbers up to rounding, and a longer draw that begins with the shorter one.
# What happens: below 16 numbers all types agree up to rounding. From 16 on each type has a stream of its own: the
#   correlation of 65536 numbers of float16 or bfloat16 with those of float32 is about 0. A draw of 16 begins with other
#   numbers than one of 15, and one of 17 has other numbers than one of 16 from the second place on. So a float16 pipeline
#   that draws its latents in its own type starts elsewhere than the float32 one, and the difference of the pictures
#   says nothing about precision. Draw in float32 and convert.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'END'
import torch


def draw(count, dtype=torch.float32):
    return torch.randn(count, dtype=dtype, generator=torch.Generator().manual_seed(1))


def correlation(a, b):
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1].item()


print("torch", torch.__version__)
reference = draw(65536)
rounded, unrelated = True, True
for dtype in (torch.float16, torch.bfloat16, torch.float64):
    long_draw = correlation(draw(65536, dtype), reference)
    short_draw = (draw(15, dtype).float() - draw(15)).abs().max().item()
    print(f"{dtype}: correlation with float32 {long_draw:.4f}; 15 numbers differ by {short_draw:.2g} at most")
    rounded = rounded and short_draw < 0.02
    unrelated = unrelated and abs(long_draw) < 0.05
for count in (15, 16, 17):
    print(f"{count} numbers begin with {[round(value, 4) for value in draw(count)[:3].tolist()]}")
prefix = torch.equal(draw(15), draw(16)[:15]) or torch.equal(draw(16), draw(17)[:16])
if not rounded or not unrelated or prefix:
    raise SystemExit("CHANGED: the streams agree now")
END
echo "as described: another type or length is another stream"
