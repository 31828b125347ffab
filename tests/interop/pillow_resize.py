"""Random pictures resized by Pillow: pillow_resize.py VERSION FILE.npz; exit code 77 if another version is here.

sizes: [N,6] width, height, channels, filter (0 box, 1 bicubic, 2 lanczos), new width, new height. boxes: [N,4] or NaN.
in, out: the pixels of all pictures one after the other.
"""

import sys

import numpy as np
import PIL.Image

version, path = sys.argv[1:]
if not PIL.__version__.startswith(version + "."):
    sys.exit(print(f"Pillow {PIL.__version__} is here, {version} is needed", file=sys.stderr) or 77)

rng = np.random.RandomState(3)
filters = (PIL.Image.BOX, PIL.Image.BICUBIC, PIL.Image.LANCZOS)
modes = {1: "L", 3: "RGB", 4: "RGBX"}
sizes, boxes, inputs, outputs = [], [], [], []
for case in range(12000):
    longest = 400 if case % 50 == 0 else 60
    w, h, new_w, new_h = (int(v) for v in rng.randint(1, longest, 4))
    if case % 7 == 0:
        new_w = w
    if case % 11 == 0:
        new_h = h
    channels = int(rng.choice(list(modes)))
    pixels = rng.randint(0, 256, (h, w, channels)).astype(np.uint8)
    if case % 3 == 0:  # beyond both ends of the range
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    picture = PIL.Image.fromarray(pixels[..., 0] if channels == 1 else pixels, modes[channels])
    kind = int(rng.randint(3))
    box = None
    if case % 4 == 0:
        left, right = sorted(rng.uniform(0, w, 2).astype(np.float32))
        top, bottom = sorted(rng.uniform(0, h, 2).astype(np.float32))
        if right - left > 0.01 and bottom - top > 0.01:
            box = tuple(float(v) for v in (left, top, right, bottom))
    result = np.asarray(picture.resize((new_w, new_h), filters[kind], box=box)).reshape(new_h, new_w, channels)
    sizes.append((w, h, channels, kind, new_w, new_h))
    boxes.append(box or (np.nan,) * 4)
    inputs.append(pixels.ravel())
    outputs.append(result.ravel())
np.savez(path, sizes=np.array(sizes, np.int64), boxes=np.array(boxes, np.float32),
         **{"in": np.concatenate(inputs), "out": np.concatenate(outputs)})
