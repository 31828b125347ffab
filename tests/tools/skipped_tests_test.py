"""tools/skipped_tests.py on logs of CTest."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "skipped_tests.py"
NO_TORCH = "no Python with torch (set EDM2_TORCH_PYTHON)"


def passed(test):
    return f"[ RUN      ] {test}\n[       OK ] {test} (3 ms)\n"


def skipped(test, reason):
    return f"[ RUN      ] {test}\n/src/tests/x y/z_test.cpp:12: Skipped\n{reason}\n\n[  SKIPPED ] {test} (0 ms)\n"


def log(*suites):
    """As CTest writes it, from (name, output)."""
    line = "-" * 58
    text = f"Start testing: Dec 01 02:34 UTC\n{line}\n"
    for number, (name, output) in enumerate(suites, 1):
        text += (f'{number}/{len(suites)} Testing: {name}\n{number}/{len(suites)} Test: {name}\nCommand: "/x/{name}"\n'
                 f'Directory: /x\n"{name}" start time: Dec 01 02:34 UTC\nOutput:\n{line}\n{output}<end of output>\n'
                 f'Test time =   0.02 sec\n{line}\nTest Passed.\n"{name}" end time: Dec 01 02:34 UTC\n{line}\n\n')
    return text + "End testing: Dec 01 02:34 UTC\n"


def said(text, disabled="", started=None):
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "Testing" / "Temporary"
        temporary.mkdir(parents=True)
        if text is not None:
            (temporary / "LastTest.log").write_text(text)
            os.utime(temporary / "LastTest.log", (1000, 1000))
        if disabled:
            (temporary / "LastTestsDisabled.log").write_text(disabled)
        command = [sys.executable, SCRIPT, folder] + ([] if started is None else [str(started)])
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stderr == "", result.stderr
        return result.stdout


class SkippedTests(unittest.TestCase):
    def test_counts_suites_by_reason(self):
        text = log(("io.A", skipped("A.One", NO_TORCH) + skipped("A.Two", NO_TORCH)), ("io.B", passed("B.One")),
                   ("nn.C", passed("C.One") + skipped("C.Two", NO_TORCH)),
                   ("nn.D", skipped("Sizes/D.One/0, where GetParam() = 3", "no CUDA device here")))
        self.assertEqual(said(text), f"edm2: 3 suites were skipped in whole or in part: 2 x {NO_TORCH}; "
                                     "1 x no CUDA device here\n")

    def test_a_suite_may_have_several_reasons(self):
        text = log(("io.A", skipped("A.One", "no groff") + skipped("A.Two", "no fish")))
        self.assertEqual(said(text), "edm2: 1 suite was skipped in whole or in part: 1 x no fish; 1 x no groff\n")

    def test_reasons_become_one_line(self):
        text = log(("io.A", skipped("A.One", "Pillow is 13.0,\n  not 10.4\n")), ("io.B", skipped("B.One", "")))
        self.assertEqual(said(text), "edm2: 2 suites were skipped in whole or in part: 1 x Pillow is 13.0, not 10.4; "
                                     "1 x no reason given\n")

    def test_suites_that_are_switched_off(self):
        text = log(("io.BigLong", ""), ("docs.Commands", ""), ("io.B", passed("B.One")))
        self.assertEqual(said(text, "4:io.BigLong\n9:docs.Commands\n12:not.SelectedLong\n"),
                         "edm2: 2 suites were skipped in whole or in part: "
                         "1 x long tests (cmake -DEDM2_LONG_TESTS=ON build/release switches them on); "
                         "1 x not for this kind of build\n")

    def test_nothing_skipped(self):
        text = log(("io.A", "it says '[  SKIPPED ]' by itself\n"), ("io.B", passed("B.One")))
        self.assertEqual(said(text), "edm2: no suite was skipped\n")

    def test_logs_of_other_runs_say_nothing(self):
        text = log(("io.A", passed("A.One")))
        self.assertEqual(said(text, started=1001), "")
        self.assertEqual(said(text, started=999.5), "edm2: no suite was skipped\n")
        self.assertEqual(said(None), "")

    def test_a_suite_that_ran_twice_counts_as_it_ended(self):
        text = log(("io.A", skipped("A.One", "once")), ("io.A", passed("A.One")))
        self.assertEqual(said(text), "edm2: no suite was skipped\n")

    def test_a_log_that_was_cut(self):
        text = log(("io.A", skipped("A.One", "no groff")), ("io.B", passed("B.One")))
        for end in range(0, len(text), 97):
            self.assertTrue(said(text[:end]).startswith("edm2: "))


if __name__ == "__main__":
    unittest.main()
