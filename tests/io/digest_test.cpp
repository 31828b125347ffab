#include "edm2/io/digest.h"

#include <gtest/gtest.h>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/paths.h"

namespace edm2 {

TEST(Digest, Md5) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(Digest, Sha256) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string text = "abc";
  const std::string digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text))), digest);
  test::TempDir dir;
  write_file(dir / "abc", text);
  EXPECT_EQ(sha256_of_file(dir / "abc"), digest);
}

TEST(Digest, Sha256OfAFileOfSeveralSteps) {
  test::TempDir dir;
  const std::string text((size_t{32} << 20) + 5, 'x');
  write_file(dir / "large", text);
  EXPECT_EQ(sha256_of_file(dir / "large"), sha256_hex(std::as_bytes(std::span(text))));
  write_file(dir / "empty", "");
  EXPECT_EQ(sha256_of_file(dir / "empty"), sha256_hex({}));
  EXPECT_THROW(sha256_of_file(dir / "none"), Error);
}

}  // namespace edm2
