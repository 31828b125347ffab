"""Compiles what leans on libtorch's inside against another libtorch: EDM2_OTHER_LIBTORCH, a virtual environment or a
folder with another version than that of the build. Warnings are errors; nothing is linked or run. Without it: skipped.

Usage: other_libtorch.py SOURCE BUILD LIBTORCH
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from check_headers import WITHOUT_VALUE, library_flags

# Headers that promise nothing between versions, and operators that are called by name.
INSIDE = re.compile(r"torch/csrc|ATen/core/dispatch|dispatched_operator\.h|CPUGeneratorImpl|mkldnn|onednn")


def skip(reason):
    print(f"{Path(__file__).name}:1: Skipped\n{reason}\n[  SKIPPED ] OtherLibtorch")
    sys.exit(77)


def libtorch_in(folder):
    for candidate in (folder, folder / "torch", folder / "libtorch", *folder.glob("lib/python3*/site-packages/torch")):
        if (candidate / "include/ATen/ATen.h").exists():
            return candidate
    sys.exit(f"EDM2_OTHER_LIBTORCH: there is no libtorch in {folder}")


def version_of(libtorch):
    for name, pattern in (("version.py", r"__version__ = '([\d.]+)"), ("build-version", r"([\d.]+)")):
        if (libtorch / name).exists():
            return re.search(pattern, (libtorch / name).read_text())[1]
    return "unknown"


def sources_inside(source):
    """Those of the library whose own text or header names something of libtorch's inside."""
    for path in sorted((source / "src").glob("*/*.cpp")):
        header = path.with_suffix(".h")
        if INSIDE.search(path.read_text() + (header.read_text() if header.exists() else "")):
            yield path


def main(source, build, libtorch):
    folder = os.environ.get("EDM2_OTHER_LIBTORCH")
    if not folder:
        skip("no other libtorch (set EDM2_OTHER_LIBTORCH)")
    other = libtorch_in(Path(folder).resolve())
    commands = build / "compile_commands.json"
    common, directory = library_flags(commands)
    own = {entry["file"]: shlex.split(entry["command"]) for entry in json.loads(commands.read_text())}

    def flags_of(path):
        words, flags = iter(own.get(str(path), common)), []
        for word in words:
            if word in ("-o", "-include"):
                next(words)
            elif word not in WITHOUT_VALUE and word != str(path):
                flags.append(word.replace(str(libtorch), str(other)))
        assert any(str(other) in flag for flag in flags), f"the build of {path.name} does not name {libtorch}"
        return flags

    def problem_of(path):
        run = subprocess.run([*flags_of(path), "-Werror", "-fsyntax-only", path], cwd=directory, capture_output=True,
                             text=True, check=False)
        return f"{path.relative_to(source)}:\n{run.stderr}" if run.returncode else ""

    paths = list(sources_inside(source))
    with ThreadPoolExecutor(2) as pool:
        found = [problem for problem in pool.map(problem_of, paths) if problem]
    print("".join(found), end="")
    print(f"{len(paths)} sources, libtorch {version_of(other)} instead of {version_of(libtorch)}: "
          f"{len(found)} do not compile")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:])))
