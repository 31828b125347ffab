#!/usr/bin/env python3
"""Makes pictures/ and pictures.npz: tiny files of every kind with what Pillow makes of them, and resized noise.

Run in this folder with Pillow 10.4.0 (other versions resize differently in the last bit) and numpy.
pictures.npz: NAME.rgb = convert("RGB") of the file, NAME.stored = its pixels as opened (where 8-bit), noise.C =
random pictures with C channels, C.FILTER.WxH = noise.C resized.
"""

import os
import struct
import zlib

import numpy as np
import PIL.Image

assert PIL.__version__ == "10.4.0", PIL.__version__
W, H = 13, 9
rng = np.random.RandomState(1)
arrays = {}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, depth, color, samples, extra=b"", interlace=0):
    """A PNG with the given raw rows (bytes per row already packed), unfiltered."""
    rows = b"".join(b"\0" + row for row in samples)
    header = struct.pack(">IIBBBBB", W, H, depth, color, 0, 0, interlace)
    with open(f"pictures/{name}.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def noise_rows(bits_per_pixel):
    return [rng.bytes((W * bits_per_pixel + 7) // 8) for _ in range(H)]


os.makedirs("pictures", exist_ok=True)
for depth in (1, 2, 4, 8, 16):
    png(f"grey{depth}", depth, 0, noise_rows(depth))
png("grey8_key", 8, 0, noise_rows(8), chunk(b"tRNS", b"\0\x50"))
# 16-bit grey with small values too, so that clipping at 255 shows.
png("grey16_dark", 16, 0, [np.arange(y * 40, y * 40 + W, dtype=">u2").tobytes() for y in range(H)])
for depth in (8, 16):
    png(f"grey_alpha{depth}", depth, 4, noise_rows(2 * depth))
    png(f"rgb{depth}", depth, 2, noise_rows(3 * depth))
    png(f"rgba{depth}", depth, 6, noise_rows(4 * depth))
png("rgb8_key", 8, 2, noise_rows(24), chunk(b"tRNS", bytes(6)))
for depth in (1, 2, 4, 8):
    palette = rng.bytes(3 * 2**depth)
    png(f"palette{depth}", depth, 3, noise_rows(depth), chunk(b"PLTE", palette))
png("palette4_alpha", 4, 3, noise_rows(4), chunk(b"PLTE", rng.bytes(48)) + chunk(b"tRNS", rng.bytes(16)))

# Adam7: seven passes over sub-grids, each with rows of its own.
square = rng.randint(0, 256, (H, W, 3)).astype(np.uint8)
passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
png("interlaced", 8, 2, [row.tobytes() for x, y, dx, dy in passes for row in square[y::dy, x::dx] if row.size], interlace=1)

smooth = np.add.outer(np.arange(24) * 8, np.arange(40) * 2)[..., None] + np.array([0, 15, 30])
smooth = np.clip(smooth, 0, 255).astype(np.uint8)
photo = PIL.Image.fromarray(smooth)
photo.save("pictures/photo420.jpg", quality=90)
photo.save("pictures/photo444.jpg", quality=90, subsampling=0)
photo.save("pictures/progressive.jpg", quality=75, progressive=True)
photo.convert("L").save("pictures/grey.jpg", quality=90)
photo.convert("CMYK").save("pictures/cmyk.jpg", quality=95)

for file in sorted(os.listdir("pictures")):
    image = PIL.Image.open(f"pictures/{file}")
    arrays[f"{file}.rgb"] = np.array(image.convert("RGB"))
    stored = np.array(image)
    if stored.dtype == bool:
        stored = stored.astype(np.uint8) * 255
    if stored.dtype == np.uint8:
        arrays[f"{file}.stored"] = stored.reshape(*stored.shape[:2], -1)

filters = {"box": PIL.Image.BOX, "bicubic": PIL.Image.BICUBIC, "lanczos": PIL.Image.LANCZOS}
for channels, mode in ((1, "L"), (3, "RGB")):
    noise = rng.randint(0, 256, (23, 37, channels)).astype(np.uint8)
    noise[:8] = np.where(noise[:8] > 127, 255, 0)
    arrays[f"noise.{channels}"] = noise
    image = PIL.Image.fromarray(noise[..., 0] if channels == 1 else noise, mode)
    for name, code in filters.items():
        for size in ((16, 16), (37, 10), (10, 23), (64, 64), (80, 5), (1, 1), (38, 24)):
            resized = np.array(image.resize(size, code)).reshape(size[1], size[0], channels)
            arrays[f"{channels}.{name}.{size[0]}x{size[1]}"] = resized
np.savez_compressed("pictures.npz", **arrays)
