#!/usr/bin/env python3
"""Lists files of more than 400 lines and functions of more than 60.

  tools/check_sizes.py [ROOT]

Looks at src/ and include/. One that has to be long says why: a comment `// Long: REASON` within the
first ten lines of the file, or in the comment above the function. Prints one line for each, with
its reason, and exits 1 if one has none.
"""

import re
import sys
from pathlib import Path

from cpp_source import items

LONGEST_FILE, LONGEST_FUNCTION = 400, 60
SUFFIXES = {".h", ".hpp", ".cpp", ".cuh", ".cu"}
REASON = re.compile(r"^\s*//+ Long: (\S.*)")


def reason_in(lines):
    for line in lines:
        match = REASON.match(line)
        if match:
            return match.group(1)
    return None


def comment_above(lines, first_line):
    """The lines of the comment that ends above this line, which counts from 1."""
    end = begin = first_line - 1
    while begin > 0 and lines[begin - 1].lstrip().startswith("//"):
        begin -= 1
    return lines[begin:end]


def long_ones(text):
    """(line, what, its reason or None) for all that is long in a source."""
    lines = text.splitlines()
    if len(lines) > LONGEST_FILE:
        yield 1, f"the file has {len(lines)} lines", reason_in(lines[:10])
    for item in items(text):
        length = item.last_line - item.first_line + 1
        if item.kind == "function" and length > LONGEST_FUNCTION:
            yield (item.first_line, f"{item.name}() has {length} lines",
                   reason_in(comment_above(lines, item.first_line)))


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    status = 0
    for folder in (root / "include", root / "src"):
        for source in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
            for line, what, reason in long_ones(source.read_text(encoding="utf-8")):
                print(f"{source.relative_to(root)}:{line}: {what}: {reason or 'no reason given'}")
                status = status if reason else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
