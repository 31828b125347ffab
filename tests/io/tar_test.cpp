#include "edm2/io/tar.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdio>

#include "edm2/core/error.h"
#include "edm2/io/gzip.h"
#include "support/gzip.h"
#include "support/paths.h"

namespace edm2 {
namespace {

using test::gzipped;

std::string as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A header block as any tar program writes it.
std::string header(const std::string& name, size_t size, char type = '0') {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  char field[16];
  std::snprintf(field, sizeof field, "%011zo", size);
  block.replace(124, 11, field);
  block[156] = type;
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(field, sizeof field, "%06o", sum);
  block.replace(148, 7, std::string(field, 6) + '\0');
  return block;
}

std::string padded(std::string text) { return text.append((512 - text.size() % 512) % 512, '\0'); }

std::string unpacked(const std::string& packed, uint64_t limit) {
  return as_text(gunzip(std::as_bytes(std::span(packed)), limit, "x.gz"));
}

}  // namespace

TEST(Tar, WhatIsWrittenIsRead) {
  const test::TempDir dir;
  const std::string long_name = std::string(150, 'd') + "/" + std::string(120, 'f') + ".png";
  {
    TarWriter tar(dir / "x.tar");
    tar.add("a/1.png", "first");
    tar.add("empty", "");
    tar.add(long_name, std::string(1000, 'x'));
    tar.finish();
  }
  ASSERT_TRUE(is_tar_file(dir / "x.tar"));
  const TarReader tar(dir / "x.tar");
  ASSERT_EQ(tar.entries().size(), 3u);
  EXPECT_EQ(tar.entries()[0].name, "a/1.png");
  EXPECT_EQ(as_text(tar.read(0)), "first");
  EXPECT_EQ(as_text(tar.read(1)), "");
  EXPECT_EQ(tar.entries()[2].name, long_name);
  EXPECT_EQ(as_text(tar.read(2)), std::string(1000, 'x'));
  EXPECT_EQ(std::filesystem::file_size(dir / "x.tar") % 512, 0u);
}

TEST(Tar, LeavesNothingWithoutFinish) {
  const test::TempDir dir;
  { TarWriter(dir / "x.tar").add("a", "b"); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Tar, ReadsTheNamesOfGnuTarAndLeavesFoldersAndLinksOut) {
  const test::TempDir dir;
  const std::string name(200, 'n');
  write_file(dir / "x.tar", header("folder/", 0, '5') + header("link", 0, '2') +
                                header("././@LongLink", name.size() + 1, 'L') +
                                padded(name + '\0') + header(name.substr(0, 100), 3) +
                                padded("abc") + header("./b", 1, '\0') + padded("c"));
  const TarReader tar(dir / "x.tar");
  ASSERT_EQ(tar.entries().size(), 2u);
  EXPECT_EQ(tar.entries()[0].name, name);
  EXPECT_EQ(as_text(tar.read(0)), "abc");
  EXPECT_EQ(tar.entries()[1].name, "b");
}

TEST(Tar, SaysWhatIsWrong) {
  const test::TempDir dir;
  const auto error_of = [&](const std::string& bytes) {
    write_file(dir / "x.tar", bytes);
    try {
      TarReader(dir / "x.tar").entries();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  std::string damaged = header("a", 3) + padded("abc") + header("b", 3);
  damaged[1030] = 'Q';
  EXPECT_NE(error_of(damaged).find("the header at byte 1024 is damaged"), std::string::npos);
  EXPECT_NE(error_of("short").find("it is none"), std::string::npos);
  EXPECT_NE(error_of(std::string(600, 'x')).find("it is none"), std::string::npos);
  EXPECT_NE(error_of(header("a", 5000) + padded("abc")).find("truncated"), std::string::npos);
  EXPECT_NE(error_of(header("x", 077777777777, 'L') + padded("abc")).find("truncated"),
            std::string::npos);
  EXPECT_FALSE(is_tar_file(dir / "nosuch"));
}

RC_GTEST_PROP(TarProperty, DamageNeverCrashes, ()) {
  static const std::string good = header("././@LongLink", 300, 'L') +
                                  padded(std::string(300, 'n')) + header("n", 3) + padded("abc") +
                                  header("pax", 19, 'x') + padded("19 path=some/thing\n") +
                                  header("b", 1) + padded("x");
  std::string bytes = good.substr(0, *rc::gen::inRange<size_t>(0, good.size() + 1));
  for (int i = *rc::gen::inRange(0, 4); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  try {
    const auto entries = read_tar_directory(std::as_bytes(std::span(bytes)), "x");
    for (const TarEntry& entry : entries) RC_ASSERT(entry.offset + entry.size <= bytes.size());
  } catch (const Error&) {
  }
}

TEST(Gzip, UnpacksWithinTheLimit) {
  const std::string text(100'000, 'x'), packed = gzipped(text);
  EXPECT_EQ(unpacked(packed, text.size()), text);
  EXPECT_EQ(unpacked(packed + gzipped("more"), 200'000), text + "more");
  EXPECT_THROW(unpacked(packed, text.size() - 1), Error);
  EXPECT_THROW(unpacked(packed.substr(0, packed.size() / 2), 200'000), Error);
  EXPECT_THROW(unpacked("no gzip", 100), Error);
  EXPECT_EQ(unpacked(gzipped(""), 0), "");
}

}  // namespace edm2
