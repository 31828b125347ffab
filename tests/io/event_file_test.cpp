#include "edm2/io/event_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/paths.h"
#include "support/python.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

/// The records of a file, every checksum verified.
std::vector<std::string> read_records(const fs::path& path) {
  const std::string bytes = read_text_file(path);
  const auto number = [&]<class T>(size_t at, T value) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    if (at + 16 > bytes.size()) throw Error("torn record");
    const auto length = number(at, uint64_t{0});
    EXPECT_EQ(number(at + 8, uint32_t{0}), masked_crc32c(bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(records.back().size(), length);
    EXPECT_EQ(number(at + 12 + length, uint32_t{0}), masked_crc32c(records.back()));
    at += 16 + length;
  }
  return records;
}

Image small_image() {
  return {.width = 3, .height = 2, .channels = 3, .pixels = std::vector<uint8_t>(18, 200)};
}

}  // namespace

TEST(Crc32c, KnownAnswers) {
  // RFC 3720, section B.4, and the usual check value.
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(EventFile, RecordsAreFramedAndEncoded) {
  const test::TempDir dir;
  EventFile file(dir.path(), 0, 1700000000.5);
  EXPECT_EQ(file.path().filename(), "events.out.tfevents.1700000000.edm2");
  file.add_scalars(300, 1700000001, {{"a", 1.5}});
  file.flush();
  const auto records = read_records(file.path());
  ASSERT_EQ(records.size(), 3u);
  const std::string time("\x09\x00\x00\x20\x40\xfc\x54\xd9\x41", 9);  // field 1, float64
  EXPECT_EQ(records[0], time + std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  EXPECT_EQ(records[1], time + std::string("\x10\x00\x3a\x02\x08\x01", 6));
  EXPECT_EQ(records[2].substr(9), std::string("\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01"
                                              "a\x15\x00\x00\xc0\x3f",
                                              15));
}

TEST(EventFile, NamesOfLaterStartsComeAfterThoseOfEarlierOnes) {
  const test::TempDir dir;
  const EventFile first(dir.path(), 0, 1700000000), second(dir.path(), 0, 1700000000),
      clock_went_back(dir.path(), 0, 1600000000);
  EXPECT_LT(first.path(), second.path());
  EXPECT_LT(second.path(), clock_went_back.path());
  EXPECT_THROW(EventFile(dir / "missing", 0, 0), Error);
}

TEST(EventFileInterop, TensorBoardReadsIt) {
  const std::string python = test::find_python("tensorboard");
  if (python.empty()) GTEST_SKIP() << "no Python with tensorboard (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  const auto png = encode_png(small_image());
  {
    EventFile file(dir.path(), 0, 1700000000);
    for (int64_t step = 0; step <= 5; ++step)
      file.add_scalars(step * 1000, 1700000000 + step, {{"Loss/loss", 10.0 - step}, {"b", step}});
    file.add_image(2000, 1700000010, "Samples/ema-0.050", small_image(), png);
    file.add_image(5000, 1700000010, "Samples/ema-0.050", small_image(), png);
    file.flush();
  }
  // Killed while it wrote: half a record is left.
  std::ofstream(dir / "events.out.tfevents.1700000000.edm2", std::ios::app | std::ios::binary)
      << std::string("\x20\x00\x00\x00\x00\x00\x00\x00\x01\x02", 10);
  {  // Resumed from a state at 3000 images, whose status line the first file has.
    EventFile file(dir.path(), 3001, 1700000100);
    file.add_scalars(4000, 1700000101, {{"Loss/loss", 1}, {"b", -1}});
    file.flush();
  }
  const auto read = nlohmann::json::parse(
      test::run_interop_script(python, "tensorboard_events.py", {dir.path().string()}));
  EXPECT_EQ(read["scalars"]["Loss/loss"],
            nlohmann::json::parse("[[0,10],[1000,9],[2000,8],[3000,7],[4000,1]]"));
  EXPECT_EQ(read["scalars"]["b"],
            nlohmann::json::parse("[[0,0],[1000,1],[2000,2],[3000,3],[4000,-1]]"));
  ASSERT_EQ(read["images"]["Samples/ema-0.050"].size(), 1u);  // that of 5000 is out of date
  const auto& image = read["images"]["Samples/ema-0.050"][0];
  EXPECT_EQ(image["step"], 2000);
  EXPECT_EQ(image["width"], 3);
  EXPECT_EQ(image["height"], 2);
  EXPECT_EQ(image["bytes"], png.size());
}

}  // namespace edm2
