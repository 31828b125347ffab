"""./edm2, ./test and tools/lint on systems that are made up: fakes of apt-get, dpkg-query, cmake and others in PATH."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
REAL = ("awk bash cat cut date df dirname env find flock grep head mkdir mv nproc python3 readlink rm sed sleep sort "
        "stty tail touch tr xargs").split()
PROGRAM = '#!/usr/bin/env bash\necho "program $*"\n'
FAKES = {
    "cmake": """
echo "cmake $*" >> "$CALLS"
if [[ $1 == --build ]]; then
  echo "[1/2, 0.1 s] Building CXX object a.o"
  case ${BUILD:-} in
    sleep) touch "$CALLS.building"; sleep 60 ;;
    ?*) echo "$BUILD"; exit 1 ;;
  esac
  cp_program
else
  mkdir -p build/release
  touch build/release/CMakeCache.txt
fi""",
    "ctest": 'echo "ctest $*" >> "$CALLS"',
    "id": "echo ${USER_ID:-0}",
    "sudo": "exit 1",
    "dpkg-query": 'for name in $INSTALLED; do echo "installed $name, provided-by-$name (= 1)"; done',
    "apt-cache": '[[ " $UNKNOWN " != *" $2 "* ]]',
    "apt-get": """
echo "apt-get $*" >> "$CALLS"
[[ " $* " != *" install "* ]] || for name in $UNKNOWN; do
  [[ " $* " != *" $name "* ]] || { echo "E: Unable to locate package $name"; exit 100; }
done
printf 'Get:1 mirror a [1 kB]\\nPreparing to unpack a ...\\nUnpacking a ...\\nSetting up a ...\\n'""",
}


def tables(*names):
    """The packages of tables of bootstrap.sh."""
    script = f'root=/nowhere; source {SOURCE}/tools/bootstrap.sh; printf "%s\\n" ' + " ".join(
        f'"${{{name}_packages[@]}}"' for name in names)
    text = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    return {line.split("|")[0] for line in text.splitlines()}


class System:
    def __init__(self, folder):
        self.tree, self.calls = folder / "tree", folder / "calls"
        commands, torch = folder / "commands", folder / "torch"
        for name in ("src", "include", "cmake", "tools"):
            (self.tree / name).mkdir(parents=True)
        for name in ("CMakeLists.txt", "CMakePresets.json"):
            (self.tree / name).touch()
        for name in ("edm2", "test", "tools/bootstrap.sh", "tools/lint", "tools/skipped_tests.py"):
            shutil.copy(SOURCE / name, self.tree / name)
        commands.mkdir()
        for name in REAL:
            (commands / name).symlink_to(shutil.which(name))
        program = folder / "program"
        self.write(program, PROGRAM)
        self.write(commands / "cp_program", f"#!/usr/bin/env bash\ncat {program} > build/release/edm2\n"
                   f"{shutil.which('chmod')} +x build/release/edm2\n")
        for name, text in FAKES.items():
            self.write(commands / name, f"#!/usr/bin/env bash\n{text}\n")
        for name in ("lib/libtorch_cpu.so", "include/ATen/ATen.h"):
            (torch / name).parent.mkdir(parents=True)
            (torch / name).touch()
        (torch / "version.py").write_text("__version__ = '2.11.0+cpu'\n")
        self.commands = commands
        self.environment = {"PATH": str(commands), "CALLS": str(self.calls), "CMAKE_PREFIX_PATH": str(torch),
                            "HOME": str(folder), "UNKNOWN": "",
                            "INSTALLED": " ".join(tables("build", "test", "lint"))}

    @staticmethod
    def write(path, text):
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *command, **settings):
        return subprocess.Popen(["bash", *command], cwd=self.tree, env=self.environment | settings, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *command, **settings):
        self.calls.write_text("")
        process = self.start(*command, **settings)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def called(self, what):
        return [line for line in self.calls.read_text().splitlines() if line.startswith(what)]


class Bootstrap(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.system = System(Path(folder.name).resolve())

    def without(self, *names):
        return " ".join(tables("build", "test", "lint") - set(names))

    def test_builds_once(self):
        code, out, err = self.system.run("edm2", "a b")
        self.assertEqual((code, out), (0, "program a b\n"), err)
        self.assertEqual(self.system.called("apt-get"), [])
        configured, built = self.system.called("cmake")
        self.assertIn("--preset release", configured)
        self.assertIn("-DEDM2_BUILD_TESTS=OFF", configured)
        self.assertNotIn("WARNINGS", configured)
        self.assertIn("--target edm2", built)
        self.assertIn("[1/2, 0.1 s] Building CXX object a.o", err)
        self.assertEqual(self.system.run("edm2"), (0, "program \n", ""))
        self.assertEqual(self.system.called("cmake"), [])

    def test_switches_of_the_environment(self):
        self.assertEqual(self.system.run("edm2", EDM2_WARNINGS_AS_ERRORS="ON", EDM2_JOBS="1")[0], 0)
        configured, built = self.system.called("cmake")
        self.assertIn("-DEDM2_WARNINGS_AS_ERRORS=ON", configured)
        self.assertIn("-j 1 ", built)

    def test_installs_what_is_missing(self):
        code, _, err = self.system.run("edm2", INSTALLED=self.without("libzip-dev", "libgtest-dev"))
        self.assertEqual(code, 0, err)
        self.assertIn("libzip-dev             reads and writes zip datasets", err)
        installs = [call for call in self.system.called("apt-get") if " install " in call]
        self.assertEqual(len(installs), 1)
        self.assertTrue(installs[0].endswith("--no-install-recommends libzip-dev"), installs)
        self.assertIn("Preparing to unpack", (self.system.tree / "build/apt.log").read_text())
        self.assertNotIn("Preparing to unpack", err)

    def test_a_package_that_provides_another_will_do(self):
        installed = self.without("libjpeg-dev") + " libjpeg-dev-of-another-system"
        fake = FAKES["dpkg-query"].replace("provided-by-$name", "${name%-of-another-system}")
        self.system.write(self.system.commands / "dpkg-query", f"#!/usr/bin/env bash\n{fake}\n")
        code, _, err = self.system.run("edm2", INSTALLED=installed)
        self.assertEqual((code, self.system.called("apt-get")), (0, []), err)

    def test_without_root_one_list_for_all(self):
        missing = ("libzip-dev", "libgtest-dev", "clang-format")
        for command in (["edm2"], ["test"], ["tools/lint", "format"]):
            installed = self.without(*missing) if command == ["edm2"] else self.without("python3", *missing)
            code, _, err = self.system.run(*command, USER_ID="1000", INSTALLED=installed)
            self.assertEqual(code, 1, err)
            line = next(line for line in err.splitlines() if "apt-get install" in line)
            self.assertEqual(sorted(line.split()[-3:]), sorted(missing))
        self.assertEqual(self.system.called("apt-get"), [])

    def test_optional_packages_may_not_exist(self):
        code, _, err = self.system.run("edm2", UNKNOWN="libavif-dev",
                                       INSTALLED=self.without("libavif-dev", "libzip-dev"))
        self.assertEqual(code, 0, err)
        self.assertTrue([call for call in self.system.called("apt-get") if call.endswith("recommends libzip-dev")])

    def test_optional_packages_are_not_worth_a_refusal(self):
        code, out, err = self.system.run("edm2", USER_ID="1000", INSTALLED=self.without("libavif-dev", "ccache"))
        self.assertEqual((code, out), (0, "program \n"), err)
        self.assertIn("reads AVIF pictures", err)
        self.assertIn("installing them needs root; going on without", err)

    def test_other_packages_that_do_not_exist_are_named(self):
        code, _, err = self.system.run("edm2", UNKNOWN="libgloo-dev",
                                       INSTALLED=self.without("libgloo-dev", "libzip-dev"))
        self.assertEqual(code, 1)
        self.assertIn("lists do not name: libgloo-dev (on Ubuntu they are in \"universe\")", err)
        self.assertIn("EDM2_PACKAGES=ignore", err)
        code, out, err = self.system.run("edm2", INSTALLED="", UNKNOWN="libgloo-dev", EDM2_PACKAGES="ignore")
        self.assertEqual((code, out, self.system.called("apt-get")), (0, "program \n", []), err)

    def test_other_systems_are_told_once(self):
        (self.system.commands / "dpkg-query").unlink()
        code, out, err = self.system.run("edm2")
        self.assertEqual((code, out), (0, "program \n"), err)
        self.assertIn("this system has no Debian packages", err)
        for package in tables("build"):
            self.assertIn(f" {package} ", err)
        (self.system.tree / "build/release/edm2").unlink()
        self.assertNotIn("this system", self.system.run("edm2")[2])

    def test_what_to_do_when_the_build_fails(self):
        for said, advice in {"x.cpp:1: error: y": "EDM2_JOBS=1 in the environment, if memory",
                             "x.s: No space left on device": "The disk is full",
                             "g++: fatal error: Killed signal terminated program cc1plus": "Memory ran out"}.items():
            code, out, err = self.system.run("edm2", BUILD=said)
            self.assertEqual((code, out), (1, ""))
            self.assertIn(said, err)
            self.assertIn("the build failed; see above. ", err)
            self.assertIn(advice, err)
            self.assertIn(said, (self.system.tree / "build/build.log").read_text())

    def test_an_interruption_is_no_failure(self):
        for command in ("edm2", "test"):
            building = Path(f"{self.system.calls}.building")
            building.unlink(missing_ok=True)
            process = self.system.start(command, BUILD="sleep")
            for _ in range(600):
                if building.exists() or process.poll() is not None:
                    break
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn("edm2: interrupted", err)
            self.assertNotIn("failed", err)


if __name__ == "__main__":
    unittest.main()
