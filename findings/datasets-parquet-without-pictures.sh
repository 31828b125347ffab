#!/usr/bin/env bash
# datasets: to_parquet() of an imagefolder writes the pictures' names instead of the pictures, so whoever deletes the folder or sends the file to somebody else has lost the dataset; nothing is said.
#
# Versions: datasets 5.2.0, pyarrow 26.0.1, Pillow 13.0.0; Python 3.11 and newer.
# What is done: six pictures in two folders are loaded with the builder "imagefolder", in which every row shows a
#   decoded picture, and the dataset is written with to_parquet().
# What one expects: the column is a struct of bytes and path, so the file holds the pictures and can be moved.
# What happens: `bytes` is None in every row and `path` the absolute path of the file on this machine. Loaded again the
#   file works as long as the folder is there, which hides it; afterwards the first access fails. push_to_hub() of the
#   same dataset does put them in (embed_external_files=True), to_parquet() has no such option: it takes
#   map(datasets.table.embed_table_storage, batched=True) in the format "arrow" before it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 Pillow==13.0.0
cd "$folder"
HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$folder/venv/bin/python" - <<'END'
import shutil
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
from PIL import Image

pictures = Path("pictures").absolute()
for label in ("cat", "dog"):
    (pictures / label).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (64, 64), (80 * i, 100, 50)).save(pictures / label / f"{i}.png")

loaded = datasets.load_dataset("imagefolder", data_dir=str(pictures), split="train")
assert loaded[0]["image"].size == (64, 64)
loaded.to_parquet("dataset.parquet")
rows = pyarrow.parquet.read_table("dataset.parquet").to_pylist()
print(f"datasets {datasets.__version__}, pyarrow {pyarrow.__version__}")
print("column:", pyarrow.parquet.read_schema("dataset.parquet").field("image").type)
print("first row:", rows[0])

embedded = loaded.with_format("arrow").map(datasets.table.embed_table_storage, batched=True).with_format(None)
embedded.to_parquet("embedded.parquet")
first = pyarrow.parquet.read_table("embedded.parquet").to_pylist()[0]["image"]
print("embedded by hand:", len(first["bytes"]), "bytes,", first["path"])

again = datasets.load_dataset("parquet", data_files="dataset.parquet", split="train")
print("while the folder is there:", again[0]["image"].size)
shutil.rmtree(pictures)
again = datasets.load_dataset("parquet", data_files="dataset.parquet", split="train")
try:
    again[0]["image"].load()
    fails = "nothing"
except Exception as error:
    fails = type(error).__name__
print("when it is gone:", fails)

as_described = all(row["image"]["bytes"] is None and row["image"]["path"].startswith("/") for row in rows)
if not as_described or fails == "nothing":
    raise SystemExit("CHANGED: the file holds the pictures now")
END
echo "as described: the parquet file holds paths of this machine and no picture"
