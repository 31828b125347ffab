"""tools/check_headers.py on two headers, by the compiler of this build.

  check_headers_test.py CXX
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_headers.py"
COMPILER = sys.argv.pop(1)


def check(text):
    """What is printed for a tree with this one header, and the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        header = root / "include/edm2/core/a.h"
        header.parent.mkdir(parents=True)
        header.write_text(text)
        commands = root / "commands.json"
        commands.write_text(json.dumps([{
            "directory": folder, "file": "a.cpp",
            "command": f"{COMPILER} -DVALUE=1 -I{root}/include -include pch.h -o edm2_lib.dir/a.o -c a.cpp"}]))
        result = subprocess.run([sys.executable, SCRIPT, root, commands], capture_output=True, text=True, check=False)
        assert result.stderr == "", result.stderr
        return result.stdout, result.returncode


class CheckHeaders(unittest.TestCase):
    def test_alone(self):
        self.assertEqual(check("/// Good.\n#pragma once\n#include <string>\nstd::string f(int x = VALUE);\n"), ("", 0))

    def test_not_alone(self):
        output, code = check("#pragma once\nstd::string f();\n")
        self.assertIn("include/edm2/core/a.h does not compile alone:", output)
        self.assertEqual(code, 1)

    def test_guard(self):
        self.assertEqual(check("// #pragma once\nint f();\n"),
                         ("include/edm2/core/a.h:1: does not begin with #pragma once\n", 1))


if __name__ == "__main__":
    unittest.main()
