"""tools/check_sizes.py on sources that are made as long as need be."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_sizes.py"


def check(text):
    """Lines printed for a tree with this one source, and the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src" / "core" / "a.cpp"
        source.parent.mkdir(parents=True)
        source.write_text(text)
        result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        assert result.stderr == "", result.stderr
        return result.stdout.splitlines(), result.returncode


def function(lines, head="void f(int x)"):
    return head + " {\n" + "  x();\n" * (lines - 2) + "}\n"


class CheckSizes(unittest.TestCase):
    def test_files(self):
        self.assertEqual(check("int x;\n" * 400), ([], 0))
        self.assertEqual(check("int x;\n" * 401), (["src/core/a.cpp:1: the file has 401 lines: no reason given"], 1))
        reason = "// A.\n// Long: it is a table.\n"
        self.assertEqual(check(reason + "int x;\n" * 400), (["src/core/a.cpp:1: the file has 402 lines: it is a table."], 0))

    def test_functions(self):
        self.assertEqual(check(function(60)), ([], 0))
        self.assertEqual(check("\n" + function(61)), (["src/core/a.cpp:2: f() has 61 lines: no reason given"], 1))
        reason = "/// Does x.\n// Long: it has to.\n"
        self.assertEqual(check(reason + function(61)), (["src/core/a.cpp:3: f() has 61 lines: it has to."], 0))

    def test_functions_of_all_kinds(self):
        for head, name in [("template <class T>\nstd::map<int, T> A::f(\n    int x) const noexcept", "A::f"),
                           ("A::A(int x)\n    : a{x}, b_(x)", "A::A"),
                           ("bool A::operator==(const A& x) const", "operator==")]:
            lines = 61 - head.count("\n")
            self.assertEqual(check("namespace {\n" + function(lines, head) + "}\n"),
                             ([f"src/core/a.cpp:2: {name}() has 61 lines: no reason given"], 1))

    def test_classes_and_values_may_be_long(self):
        self.assertEqual(check("struct A {\n" + "  int x;\n" * 100 + "};\n"), ([], 0))
        self.assertEqual(check("const auto a = make({\n" + "    1,\n" * 100 + "});\nint b[] = {\n" + "1,\n" * 100 + "};\n"),
                         ([], 0))

    def test_methods_inside_of_classes(self):
        self.assertEqual(check("class A {\n public:\n" + function(70) + "};\n"),
                         (["src/core/a.cpp:3: f() has 70 lines: no reason given"], 1))


if __name__ == "__main__":
    unittest.main()
