#include "support/python.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2::test {

namespace {

std::string interop_file(const std::string& name) {
  return data_dir().parent_path() / "interop" / name;
}

bool can_import(const std::string& python, const std::string& modules) {
  return run_command({python, "-c", "import " + modules}).exit_code == 0;
}

}  // namespace

std::string find_python(const std::string& modules) {
  if (const char* chosen = std::getenv("EDM2_TORCH_PYTHON"))
    return can_import(chosen, modules) ? chosen : "";
  if (can_import("python3", modules)) return "python3";
  const char* folder = std::getenv("EDM2_INTEROP_VENV");
  if (folder == nullptr) return "";
  const RunResult run =
      run_command({interop_file("make_venv"), folder}, {.timeout = std::chrono::minutes(30)});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const std::string python = std::string(folder) + "/bin/python";
  return can_import(python, modules) ? python : "";
}

std::string run_interop_script(const std::string& python, const std::string& script,
                               const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {python, interop_file(script)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const RunResult run = run_command(command, {.timeout = std::chrono::minutes(10)});
  EXPECT_EQ(run.exit_code, 0) << script << ": " << run.err;
  return run.out;
}

}  // namespace edm2::test
