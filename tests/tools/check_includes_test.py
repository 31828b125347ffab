"""tools/check_includes.py on small trees that are wrong in one way each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_includes.py"


def check(files):
    """Lines printed for a tree of {path: contents}, and the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree = {"cmake/Edm2Sources.cmake": "set(EDM2_ROOMS core io nn)\n", "include/edm2/core/a.h": "",
                "include/edm2/nn/n.h": "", "src/io/private.h": "", "src/cli/command.h": "", **files}
        for name, text in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        result = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, check=False)
        assert result.stderr == "", result.stderr
        return result.stdout.splitlines(), result.returncode


class CheckIncludes(unittest.TestCase):
    def expect(self, files, line):
        self.assertEqual(check(files), ([line], 1))

    def test_good_tree(self):
        good = {"src/nn/n.cpp": '#include <vector>\n#include "edm2/nn/n.h"\n#include "edm2/core/a.h"\n#include "io/private.h"\n',
                "src/cli/x.cpp": '#include "cli/command.h"\n#include "edm2/nn/n.h"\n',
                "src/pch.h": '#include "edm2/nn/n.h"\n'}
        self.assertEqual(check(good), ([], 0))

    def test_later_room(self):
        self.expect({"src/io/x.cpp": '\n#include "edm2/nn/n.h"\n'},
                    'src/io/x.cpp:2: io includes "edm2/nn/n.h" of the later room nn')

    def test_public_includes_private(self):
        self.expect({"include/edm2/nn/m.h": '#include "io/private.h"\n'},
                    'include/edm2/nn/m.h:1: a public header includes the private "io/private.h"')

    def test_cli_is_included(self):
        self.expect({"src/nn/x.cpp": '# include "cli/command.h"\n'},
                    'src/nn/x.cpp:1: nn includes "cli/command.h" of the later room cli')

    def test_cli_includes_private(self):
        self.expect({"src/cli/x.cpp": '#include "io/private.h"\n'},
                    'src/cli/x.cpp:1: cli includes "io/private.h", which is private to io')

    def test_unknown_file(self):
        self.expect({"src/io/x.cpp": '#include "private.h"\n'},
                    'src/io/x.cpp:1: "private.h" is not found from include/ or src/')

    def test_unknown_room(self):
        self.expect({"src/attic/x.cpp": '#include "edm2/core/a.h"\n'},
                    "src/attic/x.cpp:1: room attic is not in cmake/Edm2Sources.cmake")


if __name__ == "__main__":
    unittest.main()
