#include "support/paths.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace edm2::test {
namespace fs = std::filesystem;

fs::path source_dir() { return fs::path(EDM2_SOURCE_DIR); }

fs::path reference_dir() {
  const char* chosen = std::getenv("EDM2_REFERENCE_DIR");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  return data_dir() / "reference";
}

fs::path data_dir() { return source_dir() / "tests" / "data"; }

fs::path program() { return fs::path(EDM2_BINARY_DIR) / "edm2"; }

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "edm2-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace edm2::test
