"""tools/check_docs.py on small headers that lack one thing each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_docs.py"


def check(text):
    """Lines printed for a tree with this one header inside of a namespace, and the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / "include" / "edm2" / "core" / "a.h"
        header.parent.mkdir(parents=True)
        header.write_text(f"namespace edm2 {{\n{text}\n}}  // namespace edm2\n")
        result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        assert result.stderr == "", result.stderr
        return result.stdout.splitlines(), result.returncode


class CheckDocs(unittest.TestCase):
    def good(self, text):
        self.assertEqual(check(text), ([], 0))

    def bad(self, text, line):
        self.assertEqual(check(text), ([f"include/edm2/core/a.h:{line}"], 1))

    def test_what_is_said(self):
        self.good("/// One.\nint one();\n\n/// Of [N,C].\ntemplate <class T, class U>\nTensor two(\n    const T& x, U y);\n")

    def test_comments_are_shared_by_a_group(self):
        self.good("/// Both.\nint one();\nint two();\n")
        self.bad("/// One.\nint one();\n\nint two();\n", "5: two has no comment ///")

    def test_plain_comment_is_none(self):
        self.bad("// One.\nint one();\n", "3: one has no comment ///")

    def test_comment_behind(self):
        self.good("/// S.\nstruct S {\n  int one();  ///< 1\n};\n")

    def test_types(self):
        self.bad("struct S {\n  int x;\n};\n", "2: S has no comment ///")
        self.bad("enum class E { a, b };\n", "2: E has no comment ///")
        self.bad("/// S.\nstruct S {\n  struct T {};\n};\n", "4: T has no comment ///")
        self.good("class Forward;\nusing T = int;\nstd::function<int(int)> variable;\nint value = f(1);\n")

    def test_private_members_need_none(self):
        self.good("/// S.\nclass S {\n  int one();\n\n public:\n  S();\n  int x() const { return 1; }\n\n"
                  " private:\n  int two();\n  struct T {};\n};\n")
        self.bad("/// S.\nclass S {\n public:\n  int one();\n};\n", "5: one has no comment ///")

    def test_overrides_need_none(self):
        self.good("/// S.\nstruct S : T {\n  int one() const override;\n};\n")

    def test_shapes(self):
        self.bad("/// A sum.\nTensor sum(const Tensor& x);\n", "3: sum has tensors, but its comment gives no shapes")
        self.bad("/// A sum.\nstd::vector<Tensor> sum();\n", "3: sum has tensors, but its comment gives no shapes")
        self.good("/// x[N,C] -> [N].\nTensor sum(const Tensor& x);\n")
        self.good("/// Of any shape.\nTensor sum(const Tensor& x);\n")
        self.good("/// Holds [N].\nstruct S {\n  /// That.\n  Tensor get() const;\n};\n")

    def test_braces_in_text_do_not_count(self):
        self.good('/// One.\ninline const char* one() {\n  return "{";  // {\n}\n\n/// Two.\nint two(char c = \'{\');\n')


if __name__ == "__main__":
    unittest.main()
