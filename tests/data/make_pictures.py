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

rng = np.random.RandomState(2)
color = rng.randint(0, 256, (H, W, 3)).astype(np.uint8)
alpha = np.concatenate([color, rng.randint(0, 256, (H, W, 1)).astype(np.uint8)], axis=2)
rgb, rgba = PIL.Image.fromarray(color), PIL.Image.fromarray(alpha)
grey, cmyk = PIL.Image.fromarray(color[..., 0]), PIL.Image.fromarray(alpha, "CMYK")
palette = rgb.quantize(40)
modes = {"rgb": rgb, "rgba": rgba, "grey": grey, "palette": palette, "bits": grey.convert("1")}

photo.save("pictures/lossy.webp", quality=80)
rgb.save("pictures/rgb.webp", lossless=True)
rgba.save("pictures/rgba.webp", lossless=True, exact=True)
rgba.save("pictures/animated.webp", lossless=True, save_all=True, append_images=[rgba.transpose(0)], duration=100)

palette.save("pictures/palette.gif")
grey.save("pictures/grey.gif")
palette.save("pictures/interlaced.gif", interlace=True)
palette.save("pictures/animated.gif", save_all=True, append_images=[palette.transpose(0)], transparency=3)


def gif(name, screen, frame, control=b""):
    """A frame of 4x3 pixels somewhere on a screen: eight colours, LZW codes of 4 bits with a reset before each."""
    codes = [code for value in rng.randint(0, 8, 12) for code in (8, value)] + [9]
    packed = bytes(codes[i] | (codes[i + 1] << 4 if i + 1 < len(codes) else 0) for i in range(0, len(codes), 2))
    table = rng.bytes(24)
    with open(f"pictures/{name}.gif", "wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF2, 5, 0) + table + control)
        file.write(b"," + struct.pack("<HHHHB", *frame, 4, 3, 0) + b"\x03" + bytes([len(packed)]) + packed + b"\0;")


gif("offset", (9, 7), (2, 3))
gif("offset_transparent", (9, 7), (2, 3), b"!\xf9\4" + struct.pack("<BHB", 1, 0, 6) + b"\0")
gif("beyond_screen", (5, 4), (3, 2))

for name, picture in modes.items():
    picture.save(f"pictures/{name}.bmp")


def bmp(name, bits, compression, data, height=H, masks=b"", palette=b""):
    info = struct.pack("<IiiHHIIiiII", 40, W, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
    offset = 14 + len(info) + len(masks) + len(palette)
    with open(f"pictures/{name}.bmp", "wb") as file:
        file.write(b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + masks + palette + data)


row_bytes = (2 * W + 3) // 4 * 4
bmp("rgb555", 16, 0, rng.bytes(row_bytes * H))
bmp("rgb565", 16, 3, rng.bytes(row_bytes * H), masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
bmp("top_down", 24, 0, rng.bytes((3 * W + 3) // 4 * 4 * H), height=-H)
# No deltas and no odd counts of nibbles: Pillow reads those wrongly.
runs = bytes([5, 7, 0, 5, 1, 2, 3, 4, 5, 0, 3, 9, 0, 0, 4, 8, 0, 0, W, 3, 0, 0] + [2, 6, 0, 0] * (H - 3) + [0, 1])
bmp("runs8", 8, 1, runs, palette=rng.bytes(1024))
runs = bytes([5, 0x73, 0, 4, 0x12, 0x34, 3, 0x98, 0, 0, 4, 0x81, 0, 0, W, 0x3A, 0, 0] + [2, 0x65, 0, 0] * (H - 3) + [0, 1])
bmp("runs4", 4, 2, runs, palette=rng.bytes(64))

for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
    rgb.save(f"pictures/rgb_{compression}.tif", compression=compression)
for name in ("rgba", "grey", "palette", "bits"):
    modes[name].save(f"pictures/{name}.tif", compression="tiff_lzw")
cmyk.save("pictures/cmyk.tif")
PIL.Image.fromarray(color[..., :2].copy(), "LA").save("pictures/grey_alpha.tif")
PIL.Image.fromarray(np.arange(W * H, dtype=np.uint16).reshape(H, W) * 5).save("pictures/grey16.tif")


def tiff(name, tags, data, order=">"):
    """Big-endian or ("<") little-endian, with the data behind the directory."""
    entries = {256: (3, [W]), 257: (3, [H]), **tags}
    offset = 8 + 2 + 12 * (len(entries) + 1) + 4 + 2 * 16
    entries[273] = (4, [offset])
    directory, extra = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        raw = b"".join(struct.pack(order + ("H" if kind == 3 else "I"), v) for v in values)
        if len(raw) > 4:
            extra, raw = extra + raw, struct.pack(order + "I", offset - 32 + len(extra))
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "IH", 8, len(entries)) + directory + bytes(4)
    with open(f"pictures/{name}.tif", "wb") as file:
        file.write(head + extra.ljust(32, b"\0") + data)


tiff("rgb16", {258: (3, [16] * 3), 262: (3, [2]), 277: (3, [3]), 278: (3, [H]), 279: (4, [W * H * 6])}, rng.bytes(W * H * 6))
tiff("inverted", {258: (3, [8]), 262: (3, [0]), 277: (3, [1]), 278: (3, [H]), 279: (4, [W * H])}, rng.bytes(W * H))
tiff("grey4", {258: (3, [4]), 262: (3, [1]), 277: (3, [1]), 278: (3, [H]), 279: (4, [(W + 1) // 2 * H])}, rng.bytes((W + 1) // 2 * H))
premultiplied = {258: (3, [8] * 4), 262: (3, [2]), 277: (3, [4]), 278: (3, [H]), 279: (4, [W * H * 4]), 338: (3, [1])}
scaled = (color * (alpha[..., 3:] / 255.0)).astype(np.uint8)
tiff("premultiplied", premultiplied, np.concatenate([scaled, alpha[..., 3:]], axis=2).tobytes())

# Grey beyond 16 bits: both ends are cut off, and fractions too. Kinds: 1 whole, 2 signed, 3 floating point.
ramp = (np.arange(W * H) - 30.0).reshape(H, W) * 3.3
for name, bits, kind, order, values in (
    ("grey32", 32, 1, "<", np.where(ramp < 0, 0xFFFFFFF0, np.abs(ramp)).astype("<u4")),
    ("signed32", 32, 2, ">", ramp.astype(">i4")),
    ("signed16", 16, 2, ">", ramp.astype(">i2")),
    ("float32", 32, 3, ">", ramp.astype(">f4")),
):
    tags = {258: (3, [bits]), 262: (3, [1]), 277: (3, [1]), 278: (3, [H]), 279: (4, [values.nbytes]), 339: (3, [kind])}
    tiff(name, tags, values.tobytes(), order)

turned = PIL.Image.Exif()
turned[0x0112] = 6  # to be shown rotated; convert() leaves it as it is
photo.save("pictures/turned.jpg", quality=90, exif=turned)

rgb.save("pictures/rgb.ppm")
grey.save("pictures/grey.pgm")
modes["bits"].save("pictures/bits.pbm")
for name, text in {
    "plain.pbm": f"P1 # bits\n{W} {H}\n" + "\n".join("".join(str(v & 1) for v in row) for row in color[..., 0]),
    "plain.pgm": f"P2\n# grey\n{W} {H} 200\n" + "\n".join(" ".join(str(v % 201) for v in row) for row in color[..., 0]),
    "plain.ppm": f"P3\n{W} {H}\n255\n" + " ".join(str(v) for v in color.ravel()),
}.items():
    with open(f"pictures/{name}", "w") as file:
        file.write(text + "\n")
with open("pictures/wide.pgm", "wb") as file:
    file.write(f"P5 {W} {H} 65535\n".encode() + (np.arange(W * H, dtype=">u2") * 9).tobytes())
with open("pictures/wide.ppm", "wb") as file:
    file.write(f"P6 {W} {H} 1023\n".encode() + rng.randint(0, 1024, W * H * 3).astype(">u2").tobytes())

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
