// Python as a partner in tests.
#pragma once

#include <string>
#include <vector>

namespace edm2::test {

/// A Python that can import all of `modules` ("torch, safetensors"), or an empty string: the one
/// that EDM2_TORCH_PYTHON names, else python3, else the virtual environment in the folder that
/// EDM2_INTEROP_VENV names, which is made there from PyPI if need be (tests/interop/make_venv).
std::string find_python(const std::string& modules);

/// What tests/interop/SCRIPT prints when it is called with these arguments; a failure of the script
/// is one of the test.
std::string run_interop_script(const std::string& python, const std::string& script,
                               const std::vector<std::string>& arguments);

}  // namespace edm2::test
