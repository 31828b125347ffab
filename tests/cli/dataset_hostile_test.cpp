// Files made to fill the memory, to keep the machine busy or to write where they should not: each
// is refused by name, at once and in little memory.
#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "support/gzip.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string big_endian(uint32_t value) {
  std::string text;
  for (int i = 3; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

uint32_t crc_of(const std::string& text) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

struct Entry {
  std::string name, packed;
  uint64_t size = 0;  // that is claimed
  uint32_t crc = 0;
  int method = 0;
  bool repeat_offset = false;  // the header of the entry before it
};

Entry stored(const std::string& name, const std::string& contents) {
  return {name, contents, contents.size(), crc_of(contents), 0, false};
}

/// An archive of whatever entries.
std::string zip_of(const std::vector<Entry>& entries) {
  std::string text, directory;
  size_t offset = 0;
  for (const Entry& entry : entries) {
    const std::string common =
        little_endian(20, 2) + little_endian(0, 2) + little_endian(entry.method, 2) +
        little_endian(0, 4) + little_endian(entry.crc, 4) + little_endian(entry.packed.size(), 4) +
        little_endian(entry.size, 4) + little_endian(entry.name.size(), 2) + little_endian(0, 2);
    if (!entry.repeat_offset) {
      offset = text.size();
      text += "PK\x03\x04" + common + entry.name + entry.packed;
    }
    directory += "PK\x01\x02" + little_endian(20, 2) + common + little_endian(0, 10) +
                 little_endian(offset, 4) + entry.name;
  }
  const size_t start = text.size();
  return text + directory + "PK\x05\x06" + little_endian(0, 4) + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(start, 4) + little_endian(0, 2);
}

std::string good_png(uint8_t value) {
  const auto bytes = encode_png({8, 8, 3, std::vector<uint8_t>(192, value)});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string png_chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<uint32_t>(data.size())) + type + data +
         big_endian(crc_of(type + data));
}

/// A header of 2^31 pixels and a few rows.
std::string endless_png() {
  return std::string("\x89PNG\r\n\x1a\n") +
         png_chunk("IHDR",
                   big_endian(1u << 16) + big_endian(1u << 15) + std::string("\x08\x02\0\0\0", 5)) +
         png_chunk("IDAT", "x") + png_chunk("IEND", "");
}

std::string cut_jpeg() {
  const std::string whole = test::read_file(test::data_dir() / "pictures/photo420.jpg");
  return whole.substr(0, whole.size() * 2 / 3);
}

struct Hostile {
  const char* title;
  std::string archive;
  const char* name;    // that must stand in the message
  const char* reason;  // and what else
};

/// Each after a good picture, so that --on-error=skip has something to go on with.
std::vector<Hostile> hostile_archives() {
  const Entry good = stored("a.png", good_png(1));
  const std::string zeros(size_t{64} << 20, '\0');
  Entry bomb{
      "bomb.png", test::deflated(good_png(1) + zeros), good_png(1).size() + zeros.size(), 0, 8,
      false};
  bomb.crc = crc_of(good_png(1) + zeros);
  Entry liar{"liar.png", test::deflated(good_png(2)), 10'000'000, crc_of(good_png(2)), 8, false};
  Entry modest = liar;  // holds more than it says
  modest.name = "modest.png";
  modest.size = 20;
  Entry huge = liar;
  huge.name = "huge.png";
  huge.size = 4'000'000'000;
  Entry overlap = stored("twin.png", good_png(3));
  overlap.repeat_offset = true;
  Entry odd = stored("odd.png", good_png(4));
  odd.method = 12;
  return {
      {"bomb", zip_of({good, bomb}), "bomb.png", "made to fill the memory"},
      {"liar", zip_of({good, liar}), "liar.png", "damaged"},
      {"modest", zip_of({good, modest}), "modest.png", "longer than the archive says"},
      {"huge", zip_of({good, huge}), "huge.png", "made to fill the memory"},
      {"overlap", zip_of({good, stored("b.png", good_png(3)), overlap}), "twin.png", "overlaps"},
      {"climber", zip_of({good, stored("../x.png", good_png(4))}), "../x.png", "leads out"},
      {"double", zip_of({good, stored("b.png", good_png(5)), stored("b.png", good_png(6))}),
       "b.png", "2 entries of this name"},
      {"method", zip_of({good, odd}), "odd.png", "packed by bzip2"},
      {"pixels", zip_of({good, stored("endless.png", endless_png())}), "endless.png",
       "65536x32768 pixels"},
      {"jpeg", zip_of({good, stored("cut.jpg", cut_jpeg())}), "cut.jpg", "JPEG"},
  };
}

double seconds(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST(HostileFilesCli, AreRefusedByNameAtOnceAndInLittleMemory) {
  const test::TempDir dir;
  const auto convert = [&](const fs::path& source, const std::string& on_error) {
    return test::run_edm2({"dataset", "convert", "--source=" + source.string(),
                           "--dest=" + (dir / "out.zip").string(), "--on-error=" + on_error});
  };
  // What the program takes for nothing but a good picture.
  write_file(dir / "good.zip", zip_of({stored("a.png", good_png(1))}));
  test::RunResult base;
  double base_time = 1e9;
  for (int i = 0; i < 3; ++i)
    base_time = std::min(base_time, seconds([&] { base = convert(dir / "good.zip", "stop"); }));
  ASSERT_EQ(base.exit_code, 0) << base.err;
  fs::remove(dir / "out.zip");

  for (const Hostile& hostile : hostile_archives()) {
    const fs::path source = dir / (std::string(hostile.title) + ".zip");
    write_file(source, hostile.archive);
    test::RunResult run;
    double best = 1e9;
    for (int i = 0; i < 3 && best - base_time > 0.5;
         ++i)  // another program may have been in the way
      best = std::min(best, seconds([&] { run = convert(source, "stop"); }));
    test::expect_error(run, 1, hostile.name);
    EXPECT_NE(run.err.find(hostile.reason), std::string::npos) << run.err;
    EXPECT_LT(best - base_time, 1.0) << hostile.title;
    EXPECT_LT(run.peak_memory, base.peak_memory + (uint64_t{64} << 20)) << hostile.title;
    std::printf("%-8s %+.3f s, %+.1f MiB: %s", hostile.title, best - base_time,
                (double(run.peak_memory) - double(base.peak_memory)) / (1 << 20), run.err.c_str());
    EXPECT_FALSE(fs::exists(dir / "out.zip"));

    const test::RunResult skip = convert(source, "skip");
    EXPECT_EQ(skip.exit_code, 0) << hostile.title << skip.err;
    EXPECT_NE(skip.out.find(std::string("Left out ") + hostile.name), std::string::npos)
        << skip.out;
    EXPECT_NE(skip.out.find("Wrote 1 pictures"), std::string::npos) << skip.out;
    EXPECT_LT(skip.peak_memory, base.peak_memory + (uint64_t{64} << 20)) << hostile.title;
    fs::remove(dir / "out.zip");
    fs::remove(source);
  }
  EXPECT_FALSE(fs::exists(dir.path().parent_path() / "x.png"));
}

}  // namespace edm2
