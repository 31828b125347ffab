#!/usr/bin/env python3
"""Checks that includes point in one direction only (docs/architecture.md, "Rooms").

  tools/check_includes.py [ROOT]

Rooms are listed in order in cmake/Edm2Sources.cmake; cli, the program, and python, which is for the Python package,
come last. Rules:
  - a file includes only headers of its own room and of rooms before it;
  - a public header (include/edm2/) includes no private one (src/);
  - src/cli includes of other rooms only public headers;
  - a quoted include names the file from include/ or src/, and the file exists.
Prints one line per violation and exits 1 if there is one.
"""

import re
import sys
from pathlib import Path

SUFFIXES = {".h", ".hpp", ".cpp", ".cuh", ".cu"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def read_rooms(root):
    text = (root / "cmake" / "Edm2Sources.cmake").read_text()
    return re.search(r"set\(EDM2_ROOMS\s+([^)]*)\)", text).group(1).split() + ["cli", "python"]


def room_of(path, root):
    """The room of a source file, or none for src/pch.h and the like."""
    for base in (root / "include" / "edm2", root / "src"):
        if path.is_relative_to(base):
            parts = path.relative_to(base).parts
            return parts[0] if len(parts) > 1 else None
    return None


def find_header(name, root):
    for base in (root / "include", root / "src"):
        if (base / name).is_file():
            return base / name
    return None


def check_include(source, name, rooms, root):
    """What is wrong with `#include "name"` in the file `source`, or none."""
    header = find_header(name, root)
    if header is None:
        return f'"{name}" is not found from include/ or src/'
    source_room, header_room = room_of(source, root), room_of(header, root)
    if source_room is None or header_room is None:
        return None
    for room in (source_room, header_room):
        if room not in rooms:
            return f"room {room} is not in cmake/Edm2Sources.cmake"
    if rooms.index(header_room) > rooms.index(source_room):
        return f'{source_room} includes "{name}" of the later room {header_room}'
    is_private = header.is_relative_to(root / "src")
    if is_private and source.is_relative_to(root / "include"):
        return f'a public header includes the private "{name}"'
    if is_private and source_room == "cli" and header_room != "cli":
        return f'cli includes "{name}", which is private to {header_room}'
    return None


def violations(root):
    rooms = read_rooms(root)
    for folder in (root / "include", root / "src"):
        for source in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
            lines = source.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, start=1):
                match = INCLUDE.match(line)
                problem = match and check_include(source, match.group(1), rooms, root)
                if problem:
                    yield f"{source.relative_to(root)}:{number}: {problem}"


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(violations(root.resolve()))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
