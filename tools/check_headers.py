#!/usr/bin/env python3
"""Compiles each public header (include/edm2/) alone, and looks at its guard.

  tools/check_headers.py [ROOT [COMMANDS]]

Uses the flags of the library in COMMANDS (build/release/compile_commands.json), without its
precompiled header, and -fsyntax-only; as many headers at once as there are processors. Prints what
the compiler says of those that need something included before them, one line for those without
`#pragma once`, and exits 1 if there is one.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WITHOUT_VALUE = {"-c", "-Winvalid-pch", "-fpch-preprocess"}


def library_flags(commands):
    """Compiler and flags of some source of the library, with its folder."""
    for entry in json.loads(commands.read_text()):
        if "edm2_lib.dir" not in entry["command"] or "cmake_pch.hxx.cxx" in entry["file"]:
            continue
        words, flags = iter(shlex.split(entry["command"])), []
        for word in words:
            if word == "-o" or (word == "-include" and flags):
                next(words)
            elif word not in WITHOUT_VALUE and word != entry["file"]:
                flags.append(word)
        return flags, entry["directory"]
    sys.exit(f"{commands} has no source of the library")


def has_guard(text):
    """The first line of code is `#pragma once`."""
    code = re.sub(r"//[^\n]*", "", text).split()
    return code[:2] == ["#pragma", "once"]


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    commands = Path(sys.argv[2]) if len(sys.argv) > 2 else root / "build/release/compile_commands.json"
    if not commands.exists():
        sys.exit(f"checking the headers needs {commands}; run ./edm2 --version first")
    flags, folder = library_flags(commands)

    def problem_of(header):
        if not has_guard(header.read_text(encoding="utf-8")):
            return f"{header.relative_to(root)}:1: does not begin with #pragma once\n"
        source = f'#include "{header.relative_to(root / "include")}"\n'
        run = subprocess.run([*flags, "-fsyntax-only", "-x", "c++", "-"], input=source, cwd=folder,
                             capture_output=True, text=True, check=False)
        return f"{header.relative_to(root)} does not compile alone:\n{run.stderr}" if run.returncode else ""

    headers = sorted((root / "include" / "edm2").rglob("*.h"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [problem for problem in pool.map(problem_of, headers) if problem]
    print("".join(found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
