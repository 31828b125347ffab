#!/usr/bin/env python3
"""Makes modern_pictures/ and modern_pictures.npz: AVIF and JPEG 2000 files, and what Pillow (13.0) makes of them. Run here."""
import os

import numpy as np
import PIL.Image

H, W = 24, 40
rng = np.random.RandomState(4)
os.makedirs("modern_pictures", exist_ok=True)
smooth = np.add.outer(np.arange(H) * 8, np.arange(W) * 2)[..., None] + np.array([0, 15, 30])
photo = np.clip(smooth, 0, 255).astype(np.uint8)
alpha = np.broadcast_to(np.linspace(0, 255, W).astype(np.uint8)[None, :, None], (H, W, 1))
noise = rng.randint(0, 256, (11, 13, 4)).astype(np.uint8)


def save(name, array, mode=None, **options):
    PIL.Image.fromarray(array, mode).save(f"modern_pictures/{name}", **options)


save("photo420.avif", photo, quality=90, subsampling="4:2:0")
save("photo444.avif", photo, quality=90, subsampling="4:4:4")
save("grey400.avif", photo[..., 0], quality=90, subsampling="4:0:0")
save("alpha.avif", np.concatenate([photo, alpha], axis=2), quality=90, subsampling="4:4:4")
save("odd.avif", photo[:23, :37].copy(), quality=90, subsampling="4:2:0")
frames = [PIL.Image.fromarray(np.roll(photo, k, axis=0)) for k in range(3)]
frames[0].save("modern_pictures/animated.avif", save_all=True, append_images=frames[1:], quality=80)

save("grey.jp2", noise[..., 0].copy())
save("grey_alpha.jp2", noise[..., :2].copy(), "LA")
save("rgb.jp2", noise[..., :3].copy())
save("rgba.jp2", noise)
save("bare.j2k", noise[..., :3].copy(), no_jp2=True)
save("tiles.jp2", photo, tile_size=(16, 16))
save("lossy.jp2", photo, quality_mode="rates", quality_layers=[8], irreversible=True)
save("grey16.jp2", (np.arange(11 * 13).reshape(11, 13) * 450).astype(np.uint16))

arrays = {}
for file in sorted(os.listdir("modern_pictures")):
    image = PIL.Image.open(f"modern_pictures/{file}")
    arrays[f"{file}.rgb"] = np.array(image.convert("RGB"))
    stored = np.array(image)
    if stored.dtype == np.uint8:
        arrays[f"{file}.stored"] = stored.reshape(*stored.shape[:2], -1)
    print(file, image.mode, os.path.getsize(f"modern_pictures/{file}"))
np.savez_compressed("modern_pictures.npz", **arrays)
