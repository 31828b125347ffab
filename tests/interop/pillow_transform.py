"""Random pictures through Pillow's ImageOps: pillow_transform.py FILE.npz.

sizes: [N,5] width, height, channels, new width, new height; in: pixels; resized, fit, pad: results, one after the other.
"""

import sys

import numpy as np
import PIL.Image
import PIL.ImageOps

rng = np.random.RandomState(5)
modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
lanczos = PIL.Image.LANCZOS
sizes, inputs, results = [], [], {"resized": [], "fit": [], "pad": []}
for case in range(1500):
    w, h, new_w, new_h = (int(v) for v in rng.randint(8, 50, 4))
    channels = int(rng.randint(1, 5))
    pixels = rng.randint(0, 256, (h, w, channels)).astype(np.uint8)
    if channels in (2, 4) and case % 2 == 0:  # many wholly transparent or opaque pixels
        pixels[..., -1] = rng.choice([0, 0, 90, 255, 255], (h, w))
    picture = PIL.Image.fromarray(pixels[..., 0] if channels == 1 else pixels, modes[channels])
    black = 0 if channels == 1 else (0,) * channels
    for name, result in (
        ("resized", picture.resize((new_w, new_h), lanczos)),
        ("fit", PIL.ImageOps.fit(picture, (new_w, new_h), lanczos)),
        ("pad", PIL.ImageOps.pad(picture, (new_w, new_h), lanczos, color=black)),
    ):
        assert result.size == (new_w, new_h)
        results[name].append(np.asarray(result).ravel())
    sizes.append((w, h, channels, new_w, new_h))
    inputs.append(pixels.ravel())
print(PIL.__version__)
np.savez(sys.argv[1], sizes=np.array(sizes, np.int64), **{"in": np.concatenate(inputs)},
         **{name: np.concatenate(parts) for name, parts in results.items()})
