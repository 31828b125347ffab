#!/usr/bin/env python3
"""run_documents.py on documents that are good, or wrong in one way each. Usage: run_documents_test.py PROGRAM"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "run_documents.py"
PROGRAM = None  # the edm2 program


def block(text, comment=None):
    """A document with one block, which begins in line 3, or 4 with a comment."""
    return "# Page\n\n" + (f"<!-- test: {comment} -->\n" if comment else "") + f"```sh\n{text}\n```\n"


def run(text, files=()):
    """Output and exit code for a README with that text."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, contents in {"README.md": text, **dict(files)}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(contents, encoding="utf-8")
        result = subprocess.run([sys.executable, SCRIPT, f"--program={PROGRAM}", f"--source={root}"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return result.stdout, result.returncode


class RunDocuments(unittest.TestCase):
    def passes(self, text, last_line, files=()):
        output, code = run(text, files)
        self.assertEqual(code, 0, output)
        self.assertEqual(output.splitlines()[-1], last_line)

    def fails(self, text, *parts, files=()):
        output, code = run(text, files)
        self.assertEqual(code, 1, output)
        for part in parts:
            self.assertIn(part, output)

    def test_good_commands_are_checked(self):
        self.passes(block("edm2 generate --preset=demo \\\n    --outdir='a b'  # comment\n"
                          "for seed in 1 2; do ./edm2 generate --net=NET --seeds=$seed --outdir=out; done"),
                    "1 documents, 0 commands run, 3 checked, 0 failures")

    def test_good_commands_run(self):
        self.passes(block("edm2 presets | grep demo > list.txt\ntest -s list.txt\n./edm2 presets --json", "run"),
                    "1 documents, 2 commands run, 0 checked, 0 failures")

    def test_fixtures_are_there(self):
        self.passes(block("edm2 dataset check --source=photos", "run; needs photos"),
                    "1 documents, 1 commands run, 0 checked, 0 failures")

    def test_blocks_share_a_folder(self):
        self.passes(block("edm2 presets > list.txt", "run") + block("test -s list.txt && edm2 presets", "run"),
                    "1 documents, 2 commands run, 0 checked, 0 failures")

    def test_all_documents_are_read(self):
        self.passes("", "3 documents, 0 commands run, 2 checked, 0 failures",
                    {"docs/a.md": block("edm2 presets"), "docs/guide/b.md": block("edm2 presets")})

    def test_other_programs_may_start_it(self):
        self.passes(block("sudo apt install x\ntorchrun --nproc-per-node=8 edm2 train --data=d --outdir=o",
                          "skip it needs a cluster"), "1 documents, 0 commands run, 1 checked, 0 failures")

    def test_wrong_option(self):
        self.fails(block("edm2 presets\nedm2 generate \\\n    --preset=demo --outdir=out --step=3"),
                   "README.md:5: edm2 generate --preset=demo --outdir=out --step=3: wrong options", "--step")

    def test_wrong_value(self):
        self.fails(block("edm2 generate --outdir=out --steps=few"), "README.md:4: ", "'few'")

    def test_wrong_option_behind_a_launcher(self):
        self.fails(block("torchrun --nproc-per-node=8 edm2 train --data=d --outdir=o --dta=x", "skip cluster"), "--dta")

    def test_wrong_option_of_a_command_that_is_made_small(self):
        self.fails(block("edm2 generate --preset=demo --outdir=out --steps=few", "run"), "README.md:5: ", "'few'")

    def test_misspelt_command(self):
        self.fails(block("edm2 generat --outdir=out"), "README.md:4: ", "generat")

    def test_misspelt_program(self):
        self.fails(block("emd2 generate --outdir=out"), "README.md:4: emd2 generate --outdir=out: no such command")
        self.fails(block("./emd2 generate --outdir=out"), "README.md:4: ", "./emd2")

    def test_failing_command(self):
        self.fails(block("edm2 presets > list.txt\nedm2 info nothing.pkl\nedm2 presets", "run"),
                   "README.md:6: edm2 info nothing.pkl: exit code 1", "nothing.pkl")

    def test_failing_end_of_a_pipe(self):
        self.fails(block("edm2 presets | grep nothing-like-this", "run"), "README.md:5: the block ended")

    def test_block_without_commands(self):
        self.fails(block("x=1"), "README.md:4: no edm2 command was reached")

    def test_syntax_error(self):
        self.fails(block("edm2 presets '"), "README.md:4: ", "unexpected EOF")

    def test_wrong_comments(self):
        self.fails(block("edm2 presets", "rum"), "'test: rum'")
        self.fails(block("edm2 presets", "skip"), "needs a reason")
        self.fails(block("edm2 presets", "run; needs foto"), "there is no fixture 'foto'")
        self.fails("<!-- test: run -->\n\nWords.\n", "stands before no block")

    def test_broken_link(self):
        self.fails("See [there](docs/there.md#part).\n", "README.md:1: the link to 'docs/there.md#part'")
        self.fails("See [there](docs/there.md#part).\n", "#part", files={"docs/there.md": "# Another\n"})
        self.passes("See [there](docs/there.md#part) and [web](https://example.org).\n",
                    "2 documents, 0 commands run, 0 checked, 0 failures", {"docs/there.md": "# Title\n\n## Part\n"})


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = Path(sys.argv.pop(1)).resolve()
    unittest.main()
