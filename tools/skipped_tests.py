"""Says in one line which suites CTest did not run in full, and why. The end of ./test.

Usage: skipped_tests.py BUILD_FOLDER [STARTED]

Reads what CTest leaves in BUILD_FOLDER/Testing/Temporary. A log that is older than STARTED (seconds since 1970) belongs
to another run: nothing is said then. Reasons are those that the tests give to GTEST_SKIP.
"""

import re
import sys
from collections import Counter
from pathlib import Path

ENTRY = re.compile(r"^\d+/\d+ Testing: (?P<suite>.+)$", re.MULTILINE)
OUTPUT = re.compile(r"^Output:\n-+\n(?P<text>.*?)^<end of output>$", re.MULTILINE | re.DOTALL)
SKIPPED = re.compile(r"^\S[^\n]*:\d+: Skipped\n(?P<reason>.*?)\n*^\[  SKIPPED \]", re.MULTILINE | re.DOTALL)
LONG = "long tests (cmake -DEDM2_LONG_TESTS=ON build/release switches them on)"
DISABLED = "not for this kind of build"


def outputs(log):
    """{suite: what it printed}, the last time where it ran more than once."""
    entries = list(ENTRY.finditer(log))
    ends = [entry.start() for entry in entries[1:]] + [len(log)]
    result = {}
    for entry, end in zip(entries, ends):
        output = OUTPUT.search(log, entry.end(), end)
        result[entry["suite"]] = output["text"] if output else ""
    return result


def reasons_of(output):
    """The sentences behind which tests of a suite were skipped, each once."""
    return {" ".join(match["reason"].split()) or "no reason given" for match in SKIPPED.finditer(output)}


def summary(log, disabled):
    """The line, from the text of LastTest.log and the names of the suites that were switched off."""
    count, skipped = Counter(), 0
    for suite, output in outputs(log).items():
        reasons = {LONG if suite.endswith("Long") else DISABLED} if suite in disabled else reasons_of(output)
        count.update(reasons)
        skipped += bool(reasons)
    if not skipped:
        return "no suite was skipped"
    parts = [f"{number} x {reason}" for reason, number in sorted(count.items(), key=lambda item: (-item[1], item[0]))]
    return f"{skipped} suite{'s were' if skipped > 1 else ' was'} skipped in whole or in part: {'; '.join(parts)}"


def main(build_folder, started=0.0):
    folder = Path(build_folder) / "Testing" / "Temporary"
    log, switched_off = folder / "LastTest.log", folder / "LastTestsDisabled.log"
    if not log.exists() or log.stat().st_mtime < float(started):
        return
    disabled = set()
    if switched_off.exists():  # "NUMBER:SUITE" a line
        disabled = {line.partition(":")[2] for line in switched_off.read_text(errors="replace").splitlines()}
    print("edm2:", summary(log.read_text(errors="replace"), disabled))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
