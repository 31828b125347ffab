// Python as a partner in tests: the one that EDM2_TORCH_PYTHON names, or python3.
#pragma once

#include <string>
#include <vector>

namespace edm2::test {

/// A Python that can import all of `modules` ("torch, safetensors"), or an empty string.
std::string find_python(const std::string& modules);

/// What tests/interop/SCRIPT prints when it is called with these arguments; a failure of the script
/// is one of the test.
std::string run_interop_script(const std::string& python, const std::string& script,
                               const std::vector<std::string>& arguments);

}  // namespace edm2::test
