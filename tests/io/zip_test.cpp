#include "edm2/io/zip.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <thread>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

std::string to_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string file_text(const fs::path& path) { return read_text_file(path); }

// Two entries, "a.txt" stored and "b.txt" deflated (1000 times 'x'), as Python's zipfile writes
// them.
fs::path sample_zip() { return test::data_dir() / "stored_and_deflated.zip"; }

}  // namespace

TEST(ZipReader, ReadsStoredAndDeflatedEntries) {
  const ZipReader zip(sample_zip());
  EXPECT_EQ(zip.names(), (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(to_text(zip.read("a.txt")), "stored");
  EXPECT_EQ(to_text(zip.read("b.txt")), std::string(1000, 'x'));
  EXPECT_EQ(zip.entries()[1].size, 1000u);
  EXPECT_FALSE(zip.contains("c.txt"));
  EXPECT_THROW(zip.read("c.txt"), Error);
  EXPECT_THROW(zip.read("b.txt", 999), Error);
}

TEST(ZipReader, ReadsBeginnings) {
  const ZipReader zip(sample_zip());
  for (size_t i = 0; i < zip.entries().size(); ++i)
    for (const uint64_t size : std::vector<uint64_t>{0, 1, 5, 6, 999, 5000})
      EXPECT_EQ(to_text(zip.read_beginning(i, size)), to_text(zip.read(i)).substr(0, size));
}

TEST(ZipReader, ArchivesAreKnownByTheirContents) {
  const test::TempDir dir;
  EXPECT_TRUE(is_zip_file(sample_zip()));
  write_file(dir / "text.zip", std::string_view("text"));
  write_file(dir / "short.zip", std::string_view("PK"));
  for (const fs::path& path : {dir / "text.zip", dir / "short.zip", dir / "none", dir.path()})
    EXPECT_FALSE(is_zip_file(path)) << path;
}

TEST(ZipWriter, CommentsBelongToTheArchive) {
  const test::TempDir dir;
  ZipWriter zip(dir / "x.zip");
  zip.add("a", "contents");
  zip.set_comment("hello");
  zip.finish();
  const ZipReader reader(dir / "x.zip");
  EXPECT_EQ(reader.comment(), "hello");
  EXPECT_EQ(to_text(reader.read("a")), "contents");
  EXPECT_EQ(ZipReader(sample_zip()).comment(), "");
  ZipWriter long_comment(dir / "y.zip");
  long_comment.set_comment(std::string(70000, 'x'));
  EXPECT_THROW(long_comment.finish(), std::logic_error);
}

TEST(ZipWriter, ReservedEntriesAreFilledInPieces) {
  const test::TempDir dir;
  ZipWriter zip(dir / "x.zip");
  const size_t a = zip.reserve("a", 6, 64), b = zip.reserve("b", 4);
  zip.add("c", "between");
  const auto fill = [&](size_t entry, std::string_view text) {
    zip.fill(entry, std::as_bytes(std::span(text)));
  };
  fill(b, "12");
  fill(a, "abc");
  fill(b, "34");
  EXPECT_THROW(fill(b, "5"), std::logic_error);
  EXPECT_THROW(zip.finish(), std::logic_error);  // "a" lacks three bytes
  fill(a, "def");
  zip.finish();
  const ZipReader reader(dir / "x.zip");  // reading checks the CRCs
  EXPECT_EQ(to_text(reader.read("a")), "abcdef");
  EXPECT_EQ(to_text(reader.read("b")), "1234");
  EXPECT_EQ(to_text(reader.read("c")), "between");
  EXPECT_EQ(file_text(dir / "x.zip").find("abcdef"), 64u);
}

TEST(ZipReader, NamesAMissingOrForeignFile) {
  const test::TempDir dir;
  EXPECT_THROW(ZipReader(dir / "missing.zip"), Error);
  std::ofstream(dir / "text.zip") << "this is no archive";
  try {
    ZipReader zip(dir / "text.zip");
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("text.zip"), std::string::npos) << error.what();
  }
}

TEST(ZipReader, NoticesDamagedContents) {
  const test::TempDir dir;
  std::string bytes = file_text(sample_zip());
  bytes[bytes.find("stored")] = 'S';
  std::ofstream(dir / "bad.zip", std::ios::binary) << bytes;
  const ZipReader zip(dir / "bad.zip");
  EXPECT_THROW(zip.read("a.txt"), Error);
  EXPECT_EQ(to_text(zip.read("b.txt")), std::string(1000, 'x'));
}

TEST(ZipReader, DoesNotBelieveAnImpossibleSize) {
  const test::TempDir dir;
  std::string bytes = file_text(sample_zip());
  const size_t record = bytes.rfind("PK\x01\x02");
  for (int i = 0; i < 4; ++i) bytes[record + 24 + i] = "\xf0\xff\xff\x7f"[i];  // b.txt: 2 GiB
  std::ofstream(dir / "bad.zip", std::ios::binary) << bytes;
  EXPECT_THROW(ZipReader(dir / "bad.zip").read("b.txt"), Error);
}

namespace {

void put16(std::string& text, uint64_t value) {
  text += static_cast<char>(value);
  text += static_cast<char>(value >> 8);
}
void put32(std::string& text, uint64_t value) {
  put16(text, value);
  put16(text, value >> 16);
}

/// What an entry's directory record says.
struct Claim {
  std::string name;
  uint32_t offset = 0;
  uint16_t method = 0, flags = 0;
  uint32_t size = 1;
};

/// An archive of one-byte entries "x" (40 bytes apart) and whatever directory.
std::string archive_with(const std::vector<std::string>& entries,
                         const std::vector<Claim>& claims) {
  constexpr uint32_t crc_of_x = 0x8cdc1683;
  std::string text;
  for (const std::string& name : entries) {
    text += "PK\x03\x04";
    for (const int value : {20, 0, 0, 0, 0}) put16(text, static_cast<uint64_t>(value));
    put32(text, crc_of_x);
    put32(text, 1);
    put32(text, 1);
    put16(text, name.size());
    put16(text, 0);
    text += name + "x";
  }
  const size_t start = text.size();
  for (const Claim& claim : claims) {
    text += "PK\x01\x02";
    put16(text, 20);
    put16(text, 20);
    put16(text, claim.flags);
    put16(text, claim.method);
    put32(text, 0);
    put32(text, crc_of_x);
    put32(text, 1);
    put32(text, claim.size);
    put16(text, claim.name.size());
    for (int i = 0; i < 4; ++i) put16(text, 0);
    put32(text, 0);
    put32(text, claim.offset);
    text += claim.name;
  }
  const size_t size = text.size() - start;
  text += "PK\x05\x06";
  put32(text, 0);
  put16(text, claims.size());
  put16(text, claims.size());
  put32(text, size);
  put32(text, start);
  put16(text, 7);
  return text + "comment";
}

std::string error_of(const fs::path& path, const std::string& entry) {
  try {
    ZipReader(path).read(entry);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(ZipReader, NamesWhatItDoesNotRead) {
  const test::TempDir dir;
  const uint32_t second = 30 + 1 + 1;
  write_file(dir / "x.zip",
             archive_with({"a", "b"},
                          {{"a", 0, 0, 0, 1}, {"b", second, 0, 0, 1}, {"again", second, 0, 0, 1}}));
  EXPECT_EQ(error_of(dir / "x.zip", "a"), "");
  EXPECT_NE(error_of(dir / "x.zip", "b").find("overlaps with 'again'"), std::string::npos);
  EXPECT_NE(error_of(dir / "x.zip", "again").find("overlaps with 'b'"), std::string::npos);
  const std::pair<Claim, const char*> cases[] = {
      {{"a", 0, 93, 0, 1}, "packed by Zstandard"},
      {{"a", 0, 77, 0, 1}, "packed by method 77"},
      {{"a", 0, 0, 1, 1}, "encrypted"},
      {{"a", 0, 0, 0, 2}, "claims 2 bytes packed in 1"},
      {{"a", 0, 8, 0, 500'000}, "claims 500000 bytes packed in 1"},
      {{"a", 0, 8, 0, 100}, "is truncated"},
      {{"a", 3, 0, 0, 1}, "its header is missing"},
      {{"a", 4'000'000, 0, 0, 1}, "beyond the end"},
  };
  for (const auto& [claim, text] : cases) {
    write_file(dir / "x.zip", archive_with({"a", "b"}, {claim}));
    EXPECT_NE(error_of(dir / "x.zip", "a").find(text), std::string::npos)
        << error_of(dir / "x.zip", "a") << " | " << text;
  }
}

TEST(ZipReader, OldNamesBecomeUtf8) {
  const test::TempDir dir;
  write_file(dir / "x.zip", archive_with({"\x81"}, {{"\x81", 0, 0, 0, 1}}));
  EXPECT_EQ(ZipReader(dir / "x.zip").names(), (std::vector<std::string>{"\u00fc"}));
}

TEST(ZipWriterLong, WritesBeyondFourGiB) {
  const test::TempDir dir;
  constexpr uint64_t far = uint64_t{1} << 32;
  {
    ZipWriter zip(dir / "x.zip");
    const size_t large = zip.reserve("large", far + 5);
    zip.add("behind", "contents");
    // All of its bytes must have been given: zeros for the hole.
    const std::vector<std::byte> zeros(size_t{16} << 20);
    for (uint64_t done = 0; done < far; done += zeros.size()) zip.fill(large, zeros);
    zip.fill(large, std::as_bytes(std::span("tail!", 5)));
    zip.finish();
  }
  const ZipReader zip(dir / "x.zip");
  ASSERT_EQ(zip.entries().size(), 2u);
  EXPECT_EQ(zip.entries()[0].size, far + 5);
  EXPECT_EQ(to_text(zip.read("behind")), "contents");
  EXPECT_GT(fs::file_size(dir / "x.zip"), far);
}

TEST(ZipReader, ReadsFromSeveralThreads) {
  const test::TempDir dir;
  ZipWriter writer(dir / "many.zip");
  for (int i = 0; i < 100; ++i)
    writer.add(std::to_string(i), std::string(1000 + i, char('a' + i % 26)));
  writer.finish();
  const ZipReader zip(dir / "many.zip");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i)
        if (to_text(zip.read(std::to_string(i))) != std::string(1000 + i, char('a' + i % 26)))
          ++wrong;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ZipWriter, LeavesNothingWithoutFinish) {
  const test::TempDir dir;
  {
    ZipWriter zip(dir / "x.zip");
    zip.add("a", "contents");
  }
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(ZipWriter, AlignsContents) {
  const test::TempDir dir;
  ZipWriter zip(dir / "x.zip");
  zip.add("odd", "12345");
  zip.add("aligned", "ALIGNED", 64);
  zip.finish();
  EXPECT_EQ(file_text(dir / "x.zip").find("ALIGNED") % 64, 0u);
  EXPECT_EQ(to_text(ZipReader(dir / "x.zip").read("aligned")), "ALIGNED");
}

TEST(ZipWriter, WritesMoreEntriesThanTheOldFormatCounts) {
  const test::TempDir dir;
  ZipWriter writer(dir / "x.zip");
  for (int i = 0; i < 66000; ++i) writer.add(std::to_string(i), "");
  writer.finish();
  const ZipReader zip(dir / "x.zip");
  ASSERT_EQ(zip.entries().size(), 66000u);
  EXPECT_EQ(zip.entries().back().name, "65999");
}

TEST(ZipWriter, RefusesBadNames) {
  const test::TempDir dir;
  ZipWriter zip(dir / "x.zip");
  EXPECT_THROW(zip.add("", "x"), Error);
  EXPECT_THROW(zip.add(std::string(70000, 'n'), "x"), Error);
  EXPECT_THROW(zip.add("n", "x", 3), Error);
}

RC_GTEST_PROP(ZipProperty, WhatIsWrittenIsRead, (const std::vector<std::string>& contents)) {
  const test::TempDir dir;
  ZipWriter writer(dir / "x.zip");
  for (size_t i = 0; i < contents.size(); ++i) writer.add("n" + std::to_string(i), contents[i]);
  writer.finish();
  const ZipReader zip(dir / "x.zip");
  RC_ASSERT(zip.entries().size() == contents.size());
  for (size_t i = 0; i < contents.size(); ++i)
    RC_ASSERT(to_text(zip.read("n" + std::to_string(i))) == contents[i]);
}

RC_GTEST_PROP(ZipProperty, DamageNeverCrashes, ()) {
  static const std::string good = file_text(sample_zip());
  std::string bytes = good.substr(0, *rc::gen::inRange<size_t>(0, good.size() + 1));
  for (int i = *rc::gen::inRange(0, 4); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  const test::TempDir dir;
  std::ofstream(dir / "x.zip", std::ios::binary) << bytes;
  try {
    const ZipReader zip(dir / "x.zip");
    for (size_t i = 0; i < zip.entries().size(); ++i) zip.read(i);
  } catch (const Error&) {
  }
}

}  // namespace edm2
