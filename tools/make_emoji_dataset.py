#!/usr/bin/env python3
"""Makes a folder of 1,870 emoji pictures in 9 classes, the data of the demo model.

The pictures are the colour bitmaps (136x128) of the font Noto Color Emoji (SIL Open Font License 1.1),
composited on white and padded to 136x136. There is one folder per group of Unicode's emoji-test.txt, so
that `edm2 dataset convert` takes the groups as classes. Skin-tone variants are left out.
The same input files give the same output files, byte for byte.

What it needs (Debian 12), and how to run it:

    sudo apt install fonts-noto-color-emoji unicode-data python3-venv
    python3 -m venv .venv-emoji
    .venv-emoji/bin/pip install fonttools pillow
    .venv-emoji/bin/python tools/make_emoji_dataset.py --out emoji
    edm2 dataset convert --source emoji --dest emoji-32x32.zip --transform center-crop --resolution 32x32
"""

import argparse
import io
import itertools
import os
import shutil
import sys

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_TEST = "/usr/share/unicode/emoji/emoji-test.txt"

# Groups of emoji-test.txt in the file's order. The number in the name makes the sorted order of the
# folders, and so the class index, the order of this list.
FOLDERS = {
    "Smileys & Emotion": "0-smileys",
    "People & Body": "1-people",
    "Animals & Nature": "2-animals",
    "Food & Drink": "3-food",
    "Travel & Places": "4-travel",
    "Activities": "5-activities",
    "Objects": "6-objects",
    "Symbols": "7-symbols",
    "Flags": "8-flags",
}
SKIN_TONES = range(0x1F3FB, 0x1F400)
VARIATION_SELECTOR = 0xFE0F
SIDE = 136


class Failure(Exception):
    """Something the user can mend."""


def read_emoji_list(path):
    """[(folder, code points)] of the fully-qualified emoji without skin tones, in the file's order."""
    entries, folder = [], None
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Failure(f"cannot read {path} ({error.strerror}); on Debian: apt install unicode-data")
    for line in lines:
        if line.startswith("# group: "):
            folder = FOLDERS.get(line[len("# group: "):])
        elif folder and ";" in line and line.split(";")[1].split("#")[0].strip() == "fully-qualified":
            codes = tuple(int(code, 16) for code in line.split(";")[0].split())
            if not any(code in SKIN_TONES for code in codes):
                entries.append((folder, codes))
    if not entries:
        raise Failure(f"{path} lists no emoji; is it the emoji-test.txt of Unicode?")
    return entries


class BitmapFont:
    """Finds the PNG of an emoji sequence in a font with CBDT bitmaps."""

    def __init__(self, path):
        from fontTools.ttLib import TTFont, TTLibError
        try:
            font = TTFont(path)
            self.characters = font.getBestCmap()
            self.bitmaps = {}
            for strike in font["CBDT"].strikeData:
                self.bitmaps.update(strike)
            self.ligatures = self._ligatures(font["GSUB"].table)
        except OSError as error:
            raise Failure(f"cannot read {path} ({error.strerror}); on Debian: apt install fonts-noto-color-emoji")
        except (KeyError, TTLibError) as error:
            raise Failure(f"{path} is not a font with colour bitmaps (CBDT table): {error}")

    @staticmethod
    def _ligatures(gsub):
        """{(glyph, glyph, ...): ligature glyph} of every ligature substitution in the font."""
        found = {}
        for lookup in gsub.LookupList.Lookup:
            for table in lookup.SubTable:
                table = getattr(table, "ExtSubTable", table)
                for first, ligatures in getattr(table, "ligatures", {}).items():
                    for ligature in ligatures:
                        found.setdefault((first, *ligature.Component), ligature.LigGlyph)
        return found

    def glyph(self, codes):
        """The one glyph that stands for the sequence, or None."""
        bare = tuple(code for code in codes if code != VARIATION_SELECTOR)
        for sequence in dict.fromkeys((bare, codes)):
            glyphs = tuple(self.characters.get(code) for code in sequence)
            name = glyphs[0] if len(glyphs) == 1 else self.ligatures.get(glyphs)
            if name in self.bitmaps:
                return name
        return None

    def png(self, codes):
        name = self.glyph(codes)
        return None if name is None else self.bitmaps[name].imageData


def square_on_white(png):
    """The bitmap, centred on a white square of SIDE pixels."""
    from PIL import Image
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    if picture.width > SIDE or picture.height > SIDE:
        raise Failure(f"a bitmap has {picture.width}x{picture.height} pixels, more than {SIDE}x{SIDE}")
    square = Image.new("RGBA", (SIDE, SIDE), "white")
    square.alpha_composite(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return square.convert("RGB")


def write_pictures(entries, font, out):
    """Writes all pictures under `out` and returns {folder: count} and the sequences without a bitmap."""
    counts, missing = dict.fromkeys(FOLDERS.values(), 0), []
    for index, (folder, codes) in enumerate(entries):
        png = font.png(codes)
        name = "_".join(f"{code:04x}" for code in codes)
        if png is None:
            missing.append(name)
            continue
        os.makedirs(os.path.join(out, folder), exist_ok=True)
        square_on_white(png).save(os.path.join(out, folder, f"{index:04d}_{name}.png"))
        counts[folder] += 1
    return counts, missing


def make_dataset(arguments):
    try:
        import fontTools  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as error:
        raise Failure(f"the Python package {error.name} is missing; the top of {__file__} says how to install it")
    out = arguments.out.rstrip("/") or "/"
    if os.path.exists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise Failure(f"{out} exists and is not an empty folder; choose another --out or remove it")
    entries = read_emoji_list(arguments.emoji_test)
    font = BitmapFont(arguments.font)

    partial = out + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        os.makedirs(partial)
        counts, missing = write_pictures(entries, font, partial)
        if not any(counts.values()):
            raise Failure(f"{arguments.font} has no bitmap for any emoji of {arguments.emoji_test}")
        if os.path.isdir(out):
            os.rmdir(out)
        os.rename(partial, out)
    except OSError as error:
        raise Failure(f"cannot write {error.filename} ({error.strerror})")
    finally:
        shutil.rmtree(partial, ignore_errors=True)

    print(f"{sum(counts.values())} pictures in {out}")
    written = [(folder, count) for folder, count in counts.items() if count]
    for label, (folder, count) in enumerate(written):
        print(f"  class {label}: {folder:<14} {count:>4} pictures")
    if missing:
        shown = ", ".join(itertools.islice(missing, 10))
        print(f"  {len(missing)} emoji have no bitmap in the font: {shown}{' ...' if len(missing) > 10 else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR", help="new or empty folder for the pictures")
    parser.add_argument("--font", default=FONT, metavar="FILE", help="[default: %(default)s]")
    parser.add_argument("--emoji-test", default=EMOJI_TEST, metavar="FILE", help="[default: %(default)s]")
    try:
        make_dataset(parser.parse_args())
    except Failure as failure:
        sys.exit(f"Error: {failure}")


if __name__ == "__main__":
    main()
