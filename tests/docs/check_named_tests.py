#!/usr/bin/env python3
"""Every test that a document names as `Suite.Name` exists: `check_named_tests.py DOCUMENT TESTS`."""

import re
import sys
from pathlib import Path

document, tests = Path(sys.argv[1]), Path(sys.argv[2])
macro = re.compile(r"^(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP)\(\s*(\w+),\s*(\w+)", re.MULTILINE)
known = {".".join(pair) for source in tests.glob("*/*_test.cpp")
         for pair in macro.findall(source.read_text(encoding="utf-8"))}
named = re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", document.read_text(encoding="utf-8"))
missing = sorted(set(named) - known - {"Suite.Name"})
for name in missing:
    print(f"{document}: there is no test {name}")
print(f"{len(named)} tests named, {len(missing)} of them missing")
sys.exit(1 if missing or not named else 0)
