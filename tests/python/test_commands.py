"""edm2.run(), train() and their kin."""

import contextlib
import io
import threading

import pytest

import edm2
from conftest import NETWORK
from edm2.commands import option_text, option_words

SMALL = {"preset": "edm2-img64-xs", "channels": 8, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": 4,
         "channels_per_head": 8, "batch": 256, "rampup": 1024, "status": 1024, "tensorboard": False}


def test_output_goes_to_sys(capsys):
    assert edm2.run(["--version"]) == "done"
    assert edm2.__version__ in capsys.readouterr().out
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        edm2.run(["presets"])
    assert "demo" in text.getvalue()
    assert capsys.readouterr().out == ""


def test_threads_take_turns(tmp_path, capsys):
    folders = [tmp_path / str(i) for i in range(3)]
    threads = [threading.Thread(target=edm2.generate_images, kwargs={
        "preset": "demo", "outdir": folder, "seeds": "0-1", "steps": 1}) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(list(folder.glob("*.png"))) == 2 for folder in folders)
    assert capsys.readouterr().out.count("Generating 2 images") == 3


def test_failures_are_sentences(tmp_path, capsys):
    with pytest.raises(edm2.UsageError, match="stesp"):
        edm2.run(["generate", "--stesp=3"])
    with pytest.raises(edm2.UsageError):
        edm2.run(["no-such-command"])
    with pytest.raises(edm2.Error, match="nowhere.pkl") as caught:
        edm2.run(["generate", "--net", tmp_path / "nowhere.pkl", f"--outdir={tmp_path}"])
    assert not isinstance(caught.value, edm2.UsageError)
    assert not str(caught.value).startswith("Error")
    assert edm2.run(["--version"]) == "done"


def test_options_become_words():
    options = {"outdir": "runs/x", "stds": [0.05, 0.1], "xflip": True, "auto": False, "cond": False, "fp16": True,
               "max_size": None, "P_mean": -0.4, "batch-gpu": 16}
    assert option_words(["train"], options) == ["--outdir=runs/x", "--stds=0.05,0.1", "--xflip", "--cond=false",
                                                "--fp16=true", "--P_mean=-0.4", "--batch-gpu=16"]
    assert option_words(["generate"], {"class_idx": 3, "seeds": range(5, 9)}) == ["--class=3", "--seeds=5-8"]
    assert option_text((1, 2.5, float("inf"))) == "1,2.5,inf"
    with pytest.raises(edm2.UsageError, match="'train' has no option 'bacth'; the nearest is 'batch'"):
        option_words(["train"], {"bacth": 3})
    with pytest.raises(edm2.UsageError, match="switch"):
        option_words(["train"], {"xflip": "yes"})
    with pytest.raises(edm2.UsageError, match="No such command"):
        option_words(["trian"], {})


def test_training(dataset_zip, tmp_path, capsys):
    assert edm2.train(outdir=tmp_path / "run", data=dataset_zip, duration="2Ki", snapshot=1024, **SMALL) == "done"
    assert "2.05" in capsys.readouterr().out or list((tmp_path / "run").glob("network-snapshot-0000002-*"))
    facts = edm2.info(tmp_path / "run")
    assert isinstance(facts, dict) and facts
    with pytest.raises(edm2.UsageError, match="--batch"):
        edm2.train(outdir=tmp_path / "other", data=dataset_zip, **{**SMALL, "batch": "many"})
    with pytest.raises(edm2.Error, match="nowhere.zip"):
        edm2.train(outdir=tmp_path / "other", data=tmp_path / "nowhere.zip", **SMALL)


def test_a_suspended_training_says_so(dataset_zip, tmp_path):
    options = {"outdir": tmp_path / "run", "data": dataset_zip, "duration": "100Ki", "checkpoint": "100Ki",
               "suspend_after": "1s", **SMALL}
    assert edm2.train(**options) == "suspended"
    assert list((tmp_path / "run").glob("training-state-*"))


def test_pictures_into_files(tmp_path):
    assert edm2.generate_images(preset="demo", outdir=tmp_path, seeds=range(3), steps=2, class_idx=1) == "done"
    assert len(list(tmp_path.glob("*.png"))) == 3
    assert edm2.info(tmp_path / "000000.png")


def test_processes_share_the_work(tmp_path):
    edm2.generate_images(preset="demo", outdir=tmp_path, seeds="0-3", steps=2, nproc=2)
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_info(models, tmp_path):
    facts = edm2.info(models / "demo-emoji32.pkl")
    layers = edm2.info(models / "demo-emoji32.pkl", layers=True)
    assert set(facts) < set(layers) or facts != layers
    with pytest.raises(edm2.Error, match="nowhere.pkl"):
        edm2.info(tmp_path / "nowhere.pkl")


def test_failing_output_ends_the_work(tmp_path):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with contextlib.redirect_stdout(Full()), pytest.raises(OSError, match="No space"):
        edm2.generate_images(preset="demo", outdir=tmp_path, seeds="0-999", batch=1, steps=32)
    assert len(list(tmp_path.glob("*.png"))) < 1000
    edm2.run(["--version"])


def test_network_options_of_the_tests_are_those_of_train():
    assert [word.partition("=")[0] for word in NETWORK] == [
        f"--{name.replace('_', '-')}" for name in list(SMALL)[:len(NETWORK)]]
