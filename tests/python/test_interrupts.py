"""Ctrl-C in the middle of work: KeyboardInterrupt, and the interpreter lives on."""

import signal
import time

import pytest

from conftest import NETWORK

BEGIN = """
import signal, sys, threading, time
import edm2

def tell(text):
    print(text, flush=True)
"""

GENERATE = BEGIN + """
import torch

denoiser, x = edm2.load_denoiser("bundled:demo-emoji32.pkl"), torch.zeros(8, 3, 32, 32)
sampler = edm2.Sampler(preset="demo")
sampler.generate(0, steps=2)
tell("ready")
try:
    {work}
except KeyboardInterrupt:
    tell("interrupted")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert len(sampler.generate([1, 2], steps=2)) == 2
try:
    time.sleep(0.01)
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    tell("alive")
"""


def lines_until(process, last):
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == last:
            return lines
    raise AssertionError(lines)


@pytest.mark.parametrize("work", [
    "sampler.generate(range(1000), steps=1000)",
    "sampler.generate(range(1000), steps=1000, on_step=lambda step: None)",
    "sampler.generate(range(1000), steps=1000, on_step=lambda step: time.sleep(5))",
    "sampler.generate(range(1000), steps=1000, progress=lambda *piece: None)",
    "edm2.generate_images(preset='demo', outdir='out', seeds='0-99999', steps=1000)",
    "[denoiser(x, 1.0) for _ in range(10 ** 6)]",
    "[edm2.Sampler(preset='demo') for _ in range(10 ** 6)]",
    "edm2.run(['bench', 'sample', '--preset=demo', '--seconds=100'])",
])
def test_in_the_middle_of(work, run_python):
    process = run_python(GENERATE.format(work=work))
    lines_until(process, "ready")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    lines_until(process, "interrupted")
    assert time.monotonic() - start < 20
    lines_until(process, "alive")
    assert process.wait(60) == 0


TRAIN = BEGIN + """
options = [{network}, "--batch=256", "--duration=100Mi", "--rampup=1024", "--status=256", "--snapshot=0",
           "--checkpoint=1Mi", "--tensorboard=false"]
tell("ready")
try:
    tell(edm2.run(["train", "--data={data}", "--outdir=run", *options]))
except KeyboardInterrupt:
    tell("interrupted")
import pathlib
assert list(pathlib.Path("run").glob("training-state-*"))
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert len(edm2.Sampler(preset="demo", steps=2).generate([1, 2])) == 2
tell("alive")
"""


@pytest.mark.parametrize("sent, ending", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "suspended"),
                                          (signal.SIGUSR1, "suspended")])
def test_in_the_middle_of_training(sent, ending, run_python, dataset_zip):
    process = run_python(TRAIN.format(network=", ".join(map(repr, NETWORK)), data=dataset_zip))
    for line in process.stdout:
        if "tick 2" in line or "kimg" in line:
            break
    time.sleep(0.5)
    process.send_signal(sent)
    lines_until(process, ending)
    lines_until(process, "alive")
    assert process.wait(60) == 0


def test_signals_of_other_commands_are_passed_on(run_python):
    process = run_python(BEGIN + """
signal.signal(signal.SIGTERM, lambda *_: tell("handled"))
try:
    edm2.generate_images(preset='demo', outdir='out', seeds='0-99999', steps=1000)
except edm2.Error:
    tell("ended")
""")
    lines_until(process, "Generating 100000 images...")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert lines_until(process, "ended")[-2:] == ["handled", "ended"]
    assert process.wait(60) == 0


def test_other_threads_leave_signals_alone(run_python):
    process = run_python(BEGIN + """
sampler = edm2.Sampler(preset="demo")
images = []
thread = threading.Thread(target=lambda: images.append(sampler.generate(range(8), steps=16)))
thread.start()
tell("ready")
try:
    while thread.is_alive():
        time.sleep(0.01)
except KeyboardInterrupt:
    tell("interrupted")
thread.join()
assert len(images[0]) == 8
tell("alive")
""")
    lines_until(process, "ready")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    lines_until(process, "interrupted")
    lines_until(process, "alive")
    assert process.wait(60) == 0
