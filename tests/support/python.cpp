#include "support/python.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2::test {

std::string find_python(const std::string& modules) {
  const char* chosen = std::getenv("EDM2_TORCH_PYTHON");
  const std::string python = chosen ? chosen : "python3";
  return run_command({python, "-c", "import " + modules}).exit_code == 0 ? python : "";
}

std::string run_interop_script(const std::string& python, const std::string& script,
                               const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {python,
                                      (data_dir().parent_path() / "interop" / script).string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const RunResult run = run_command(command);
  EXPECT_EQ(run.exit_code, 0) << script << ": " << run.err;
  return run.out;
}

}  // namespace edm2::test
