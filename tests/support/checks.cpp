#include "support/checks.h"

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2::test {

Image read_image(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  return decode_image(std::as_bytes(std::span(bytes)), path.string());
}

}  // namespace edm2::test
