"""Which part of the package is taken, and what is said where none fits."""

import os
import resource
import subprocess
import sys

import pytest

import edm2
from edm2 import _loader, _program


def run_without_torch(tmp_path, code, torch_version=None):
    """Runs code where there is no torch, or one that says to be of some version."""
    here, package = tmp_path / "here", os.path.dirname(os.path.dirname(edm2.__file__))
    here.mkdir()
    if torch_version:
        (here / "torch").mkdir()
        (here / "torch" / "__init__.py").write_text("raise SystemError('imported')\n")
        (here / "torch" / "version.py").write_text(f"__version__ = '{torch_version}'\n")
    # Without site-packages; the package itself is found by a link.
    (here / "edm2").symlink_to(os.path.join(package, "edm2"))
    return subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(here), "PATH": os.environ["PATH"]},
                          cwd=tmp_path, text=True, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("version", ["2.9.1", "2.10.0+cpu", "3.0.0a0+git123", None])
def test_wrong_torch_is_one_sentence(tmp_path, version):
    code = "import edm2\ntry:\n    edm2.Sampler\nexcept ImportError as error:\n    print(error)"
    result = run_without_torch(tmp_path, code, version)
    assert result.returncode == 0, result.stderr
    sentence = result.stdout.strip()
    assert "\n" not in sentence
    assert _loader.supported_torch()[-1] in sentence
    assert "pip install 'torch==" in sentence
    assert (version or "there is none") in sentence


@pytest.mark.parametrize("version", ["2.9.1", None])
def test_program_tells_of_wrong_torch(tmp_path, version):
    result = run_without_torch(tmp_path, "from edm2._program import main; main()", version)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: edm2 ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_importing_imports_no_torch():
    code = ("import sys, edm2, edm2._program\n"
            "assert edm2.__version__ and edm2.UsageError and dir(edm2)\n"
            "assert 'torch' not in sys.modules and 'numpy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_script_is_quick():
    """Until the program takes over; by processor time, because tests may run beside other work."""
    def seconds_of_children():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    code = "import os; os.execve = lambda *_: os._exit(0); from edm2._program import main; main()"
    seconds = []
    for _ in range(3):
        before = seconds_of_children()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        seconds.append(seconds_of_children() - before)
    assert min(seconds) < 0.2


def test_program_runs():
    result = subprocess.run([sys.executable, "-m", "edm2._program", "--version"], text=True, capture_output=True,
                            check=True, timeout=60)
    assert result.stdout.startswith(f"edm2 {edm2.__version__}\n")


def test_script_gives_way_to_program(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execve", lambda *arguments: called.append(arguments))
    monkeypatch.setattr(sys, "argv", ["edm2", "generate", "--help"])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/former")
    _program.main()
    (program, words, environment), = called
    assert program == _loader.library_folder() / "edm2"
    assert words == [str(program), "generate", "--help"]
    assert environment["LD_LIBRARY_PATH"] == f"{_loader.torch_folder() / 'lib'}:/former"


def test_exit_codes_are_those_of_the_program():
    result = subprocess.run([sys.executable, "-m", "edm2._program", "generate", "--stesp=3"], text=True,
                            capture_output=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "--stesp" in result.stderr


def test_all_names_are_there():
    for name in edm2.__all__:
        assert getattr(edm2, name) is not None
    assert set(edm2.__all__) <= set(dir(edm2))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        edm2.nothing


def test_bridge_fits_torch():
    import torch

    bridge = _loader.bridge()
    assert bridge.version() == edm2.__version__
    assert torch.__version__.startswith(bridge.built_for_torch()[:4])


def test_other_libraries_are_refused(tmp_path):
    from edm2 import _front

    broken = tmp_path / "libedm2.so"
    broken.write_bytes(b"no library")
    with pytest.raises(ImportError, match="cannot be loaded into this torch"):
        _front.load(str(broken), "")
