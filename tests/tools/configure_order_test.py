"""What is configured in a folder for the program alone does not stand in the way of the tests later. Nothing is built.

Usage: configure_order_test.py SOURCE CMAKE CTEST GENERATOR COMPILER LIBTORCH
"""

import json
import os
import re
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


def commands_of_the_readme():
    text = Path(SOURCE, "README.md").read_text()
    section = text.partition("\n## Two commands\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if re.match(r"\./\w", line)]


class FreshClone:
    """The tree without what a build leaves, and commands in PATH that configure and show but build and run nothing."""

    def __init__(self, folder):
        self.folder, commands = Path(folder, "clone"), Path(folder, "commands")
        self.folder.mkdir()
        commands.mkdir()
        for entry in Path(SOURCE).iterdir():
            if entry.name in ("edm2", "test"):  # they look for the tree beside themselves
                Path(self.folder, entry.name).write_bytes(entry.read_bytes())
                Path(self.folder, entry.name).chmod(0o755)
            elif entry.name not in ("build", "out", "runs") and not entry.name.startswith("."):
                Path(self.folder, entry.name).symlink_to(entry)
        for name, text in {
            "cmake": f'[ "$1" = --build ] || exec {CMAKE} "$@"\nln -sf "$(type -P true)" "$2/edm2"',
            "ctest": f'exec {CTEST} "$@" --show-only',
        }.items():
            Path(commands, name).write_text(f"#!/bin/bash\n{text}\n")
            Path(commands, name).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "CXX": COMPILER,
                                         "CMAKE_PREFIX_PATH": LIBTORCH, "EDM2_PACKAGES": "ignore"}
        self.environment.pop("EDM2_WARNINGS_AS_ERRORS", None)

    def run(self, command):
        result = subprocess.run(command, shell=True, cwd=self.folder, env=self.environment, capture_output=True,
                                text=True, stdin=subprocess.DEVNULL, check=False)
        assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"


class ConfigureOrder(unittest.TestCase):
    def test_the_commands_of_the_readme(self):
        commands = commands_of_the_readme()
        self.assertEqual([command.split()[0] for command in commands], ["./edm2", "./test"])
        with tempfile.TemporaryDirectory() as folder:
            clone = FreshClone(folder)
            build = BuildFolder(clone.folder / "build/release")
            clone.run(commands[0])
            self.assertEqual(build.targets() & (PROGRAMS_OF_TESTS | {"generate_tests"}), set())
            clone.run(commands[1])
            self.assertLessEqual(PROGRAMS_OF_TESTS | {"generate_tests", "ema_tests"}, build.targets())
            self.assertLessEqual(SUITES_THAT_RUN_THEM, build.suites())
            # A compiler that knows other warnings does not keep users from building.
            cache = (clone.folder / "build/release/CMakeCache.txt").read_text()
            self.assertIn("EDM2_WARNINGS_AS_ERRORS:BOOL=OFF", cache)

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
