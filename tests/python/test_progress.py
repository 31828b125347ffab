"""Bars and messages."""

import builtins
import logging

import pytest

import edm2
from edm2 import progress
from edm2.progress import Display


def test_a_function_is_told(sampler):
    told = []
    sampler.generate("0-3", batch=2, progress=lambda *piece: told.append(piece))
    assert told == [("Generating", done, 8, "step") for done in range(1, 9)]


def test_nothing_is_printed_by_itself(capsys):
    edm2.Sampler(preset="demo", steps=1).generate(0)
    assert capsys.readouterr() == ("", "")


def test_messages_are_logged(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="edm2"):
        edm2.Sampler(preset="demo", progress=True)
    assert "Loading main network" in caplog.text
    assert "Loading main network" in capsys.readouterr().err
    Display().message("Warning: something")
    assert caplog.records[-1].levelno == logging.WARNING


def test_text_bar(monkeypatch, capsys):
    def no_tqdm(name, *arguments):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return original(name, *arguments)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_tqdm)
    clock = iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    display = Display(True)
    for done in range(4):
        display.advance("Working", done, 3, "picture")
    display.advance("Loading", 5_000_000, 0, "byte")
    display.close()
    text = capsys.readouterr().err
    assert "\rWorking: 0/3 pictures" in text and "\rWorking: 2/3 pictures" in text
    assert "\rLoading: 5.0 MB" in text and text.endswith("\r")


def test_tqdm_bar(capsys):
    pytest.importorskip("tqdm")
    display = Display(True)
    for done in range(3):
        display.advance("Working", done, 2, "picture")
    assert display._bar is None
    display.advance("Loading", 1, 0, "byte")
    display.advance("Loading", 7, 7, "byte")
    assert display._bar is None
    capsys.readouterr()


def test_where_someone_looks_on(monkeypatch):
    monkeypatch.setattr(progress, "someone_looks_on", lambda: True)
    assert Display().shows and not Display(False).shows
    monkeypatch.setattr(progress, "someone_looks_on", lambda: False)
    assert not Display().shows and Display(True).shows and Display(print).shows
