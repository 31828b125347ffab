#!/usr/bin/env bash
# TensorBoard: two writers in one run folder (a resumed run, two ranks) are shown in another way by the page than by the Python reader; steps that are there are missing on the page, and who looks at the page only takes a gap in the log for one in training.
#
# Versions: tensorboard 2.21.0 with its data server 0.7.2; Python 3.9 and newer.
# What is done: two writers in one folder take turns, one with the even steps 0 to 8, the other with the odd ones 1 to 9.
#   Both files are whole. They are read with EventAccumulator, and by the server that stands behind the page, with
#   --load_fast=true (which is what `tensorboard --logdir` takes where the data server is installed) and false.
# What one expects: ten points from each.
# What happens: EventAccumulator and --load_fast=false give all ten (unsorted: 0 2 4 6 8 1 3 5 7 9). The data server gives
#   0 1 3 5 7 9: a step that is not larger than the last one is taken for a restart, and what was read from there on is
#   thrown away. A resumed run (0 to 9, then 5 to 14) is the other way round: the page shows each step once, the Python
#   reader steps 5 to 9 twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.21.0 tensorboard-data-server==0.7.2
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import json
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

runs = {"taking-turns": (range(0, 10, 2), range(1, 10, 2)), "resumed": (range(10), range(5, 15))}
for run, parts in runs.items():
    for number, steps in enumerate(parts):
        writer = EventFileWriter(f"runs/{run}", filename_suffix=f".{number}")
        for step in steps:
            value = Summary.Value(tag="loss", simple_value=1 / (1 + step))
            writer.add_event(Event(wall_time=1e9 + step, step=step, summary=Summary(value=[value])))
        writer.close()
        time.sleep(1.1)  # the second in the name of the file puts them in order


def by_python(run):
    events = EventAccumulator(f"runs/{run}")
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


def by_page(load_fast):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir=runs", f"--port={port}",
                               f"--load_fast={load_fast}"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                steps = {}
                for run in runs:
                    address = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run={run}&tag=loss"
                    with urllib.request.urlopen(address) as answer:
                        steps[run] = [point[1] for point in json.load(answer)]
                return steps
            except OSError:
                pass  # not there yet, or has not read the files yet
        raise SystemExit("the server did not start")
    finally:
        server.terminate()
        server.wait()


print(f"tensorboard {version('tensorboard')}, data server {version('tensorboard-data-server')}")
found = {"EventAccumulator": {run: by_python(run) for run in runs},
         "page, --load_fast=true": by_page("true"), "page, --load_fast=false": by_page("false")}
for reader, steps in found.items():
    print(reader, steps)
all_steps = {"taking-turns": [0, 2, 4, 6, 8, 1, 3, 5, 7, 9], "resumed": [*range(10), *range(5, 15)]}
expected = {"EventAccumulator": all_steps, "page, --load_fast=false": all_steps,
            "page, --load_fast=true": {"taking-turns": [0, 1, 3, 5, 7, 9], "resumed": [*range(15)]}}
if found != expected:
    print("CHANGED: expected", expected)
    raise SystemExit(1)
END
echo "as described: the page misses steps that the Python reader has"
