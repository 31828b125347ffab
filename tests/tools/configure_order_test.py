"""What is configured in a folder for the program alone does not stand in the way of the tests later. Nothing is built.

Usage: configure_order_test.py SOURCE CMAKE CTEST GENERATOR COMPILER LIBTORCH
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, CMAKE, CTEST, GENERATOR, COMPILER, LIBTORCH = sys.argv[1:]
PROGRAMS_OF_TESTS = {"example_sample", "example_posthoc_ema"}
SUITES_THAT_RUN_THEM = {"generate.ExampleCli", "ema.PostHocExample"}


class BuildFolder:
    def __init__(self, folder):
        self.folder = folder
        query = Path(folder, ".cmake/api/v1/query/codemodel-v2")
        query.parent.mkdir(parents=True)
        query.touch()

    def run(self, *command):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
        return result.stdout

    def configure(self, *options):
        self.run(CMAKE, "-S", SOURCE, "-B", self.folder, "-G", GENERATOR, f"-DCMAKE_CXX_COMPILER={COMPILER}",
                 f"-DEDM2_LIBTORCH_HINT={LIBTORCH}", *options)

    def targets(self):
        """What CMake's file API says of the last configuration."""
        replies = Path(self.folder, ".cmake/api/v1/reply")
        index = json.loads(max(replies.glob("index-*.json")).read_text())
        model = json.loads((replies / index["reply"]["codemodel-v2"]["jsonFile"]).read_text())
        return {target["name"] for target in model["configurations"][0]["targets"]}

    def suites(self):
        lines = self.run(CTEST, "--test-dir", self.folder, "--show-only").splitlines()
        return {line.rpartition(": ")[2] for line in lines if line.strip().startswith("Test ")}


class ConfigureOrder(unittest.TestCase):
    def test_tests_after_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            build = BuildFolder(folder)
            build.configure("-DEDM2_BUILD_TESTS=OFF")  # as ./edm2 does
            self.assertEqual(build.targets() & (PROGRAMS_OF_TESTS | {"generate_tests"}), set())
            # A folder of an older version remembers that the examples are off; ./test says nothing of them.
            build.configure("-DEDM2_BUILD_EXAMPLES=OFF", "-DEDM2_BUILD_TESTS=ON")
            self.assertLessEqual(PROGRAMS_OF_TESTS | {"generate_tests", "ema_tests"}, build.targets())
            self.assertLessEqual(SUITES_THAT_RUN_THEM, build.suites())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
