#!/usr/bin/env bash
# WebDataset shards whose first five samples have no label: webdataset yields all later labels, datasets drops every one of them without a word, so whoever trains on partly labelled shards through datasets trains unconditionally.
#
# Versions: webdataset 1.0.2, datasets 5.2.0, Pillow 13.0.0; Python 3.11 and newer.
# What is done: one shard with 40 samples, the first five with a picture alone, the other 35 with a picture and a class
#   (.cls), is read with both libraries. Then the same samples in reverse order.
# What one expects: the same samples from both, or an error from the one that wants all samples alike.
# What happens: webdataset gives 35 labels either way. datasets takes the columns from the first five samples: with the
#   unlabelled ones in front there is no column `cls` at all, and nothing is said. In reverse order it reads the column
#   and gives None for the five. With three unlabelled samples in front it refuses the shard. So the order of the
#   samples decides whether the labels are there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2 datasets==5.2.0 Pillow==13.0.0
cd "$folder"
HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$folder/venv/bin/python" - <<'END'
import io
import tarfile

import datasets
import webdataset
from PIL import Image


def write(path, samples):
    with tarfile.open(path, "w") as tar:
        for key, label in samples:
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (key, 0, 0)).save(picture, "png")
            files = [(f"{key:04d}.png", picture.getvalue())]
            if label is not None:
                files.append((f"{key:04d}.cls", str(label).encode()))
            for name, contents in files:
                entry = tarfile.TarInfo(name)
                entry.size = len(contents)
                tar.addfile(entry, io.BytesIO(contents))


def labels_by_webdataset(path):
    return sum("cls" in sample for sample in webdataset.WebDataset(path, shardshuffle=False))


def labels_by_datasets(path):
    try:
        rows = datasets.load_dataset("webdataset", data_files=path, split="train")
    except Exception as error:
        return type(error).__name__
    return sum(row.get("cls") is not None for row in rows), len(rows)


plain = [(key, None) for key in range(5)]
labelled = [(key, key % 10) for key in range(5, 40)]
shards = {"five unlabelled first": plain + labelled, "labelled first": labelled + plain,
          "three unlabelled first": plain[:3] + labelled}
found = {}
print(f"webdataset {webdataset.__version__}, datasets {datasets.__version__}")
for number, (name, samples) in enumerate(shards.items()):
    path = f"shard-{number}.tar"
    write(path, samples)
    found[name] = labels_by_webdataset(path), labels_by_datasets(path)
    print(f"{name}: labels by webdataset {found[name][0]}, by datasets (of samples) {found[name][1]}")

expected = {"five unlabelled first": (35, (0, 40)), "labelled first": (35, (35, 40)),
            "three unlabelled first": (35, "ValueError")}
if found != expected:
    raise SystemExit(f"CHANGED: expected {expected}")
END
echo "as described: 35 labels or none, by the order of the samples"
