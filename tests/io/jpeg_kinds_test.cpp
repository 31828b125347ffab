// One picture as JPEG in every subsampling and coding (tests/data/jpeg, by cjpeg and jpegtran of
// libjpeg-turbo 2.1.5), and what Pillow 13 with libjpeg-turbo 3.2 makes of it (the PNG files).
#include <gtest/gtest.h>

#include <filesystem>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

Image decoded_file(const std::filesystem::path& path) {
  const std::string bytes = test::read_file(path);
  return decode_rgb(std::as_bytes(std::span(bytes)), path.filename().string());
}

}  // namespace

TEST(JpegKinds, AreThePixelsOfPillow) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_dir() / "jpeg")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".jpg")) continue;
    const std::string sampling = name.substr(0, name.find('-'));
    const Image expected = decoded_file(test::data_dir() / "jpeg" / (sampling + ".png"));
    EXPECT_EQ(decoded_file(entry.path()).pixels, expected.pixels) << name;
    ++files;
  }
  EXPECT_EQ(files, 25);
}

TEST(JpegKinds, WhatIsCutIsAnError) {
  for (const char* coding : {"baseline", "progressive", "arithmetic"}) {
    const std::string whole =
        test::read_file(test::data_dir() / "jpeg" / ("420-" + std::string(coding) + ".jpg"));
    for (const size_t missing : {size_t{20}, size_t{100}, whole.size() / 2, whole.size() - 30}) {
      const std::string cut = whole.substr(0, whole.size() - missing);
      EXPECT_THROW(decode_rgb(std::as_bytes(std::span(cut)), "cut.jpg"), Error)
          << coding << " without its last " << missing << " bytes";
    }
  }
}

}  // namespace edm2
