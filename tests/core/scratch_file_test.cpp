#include "edm2/core/scratch_file.h"

#include <gtest/gtest.h>

#include <string>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {

TEST(ScratchFile, HoldsWhatIsWrittenAndHasNoName) {
  const test::TempDir dir;
  ScratchFile file(dir.path());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  const auto write = [&](uint64_t offset, const std::string& text) {
    file.write_at(offset, std::as_bytes(std::span(text.data(), text.size())));
  };
  const auto read = [&](uint64_t offset, size_t count) {
    std::string text(count, '?');
    file.read_at(offset, std::as_writable_bytes(std::span(text.data(), count)));
    return text;
  };
  write(4, "4567");
  write(0, "0123");
  EXPECT_EQ(read(0, 8), "01234567");
  write(2, "xy");
  EXPECT_EQ(read(1, 4), "1xy4");
  EXPECT_EQ(read(8, 0), "");
  EXPECT_THROW(read(7, 2), Error);
  EXPECT_THROW(ScratchFile(dir / "missing"), Error);
}

}  // namespace edm2
