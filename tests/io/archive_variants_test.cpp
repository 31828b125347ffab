// Archives as they are found: with bytes in front, with members that are no files.
#include <gtest/gtest.h>

#include <cstdio>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "support/paths.h"

namespace edm2 {
namespace {
using namespace std::string_literals;

std::string text_from(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string member(const std::string& name, char type, const std::string& contents,
                   std::optional<size_t> claimed = {}, bool signed_sum = false) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  char field[16];
  std::snprintf(field, sizeof field, "%011zo", claimed.value_or(contents.size()));
  block.replace(124, 11, field);
  block[156] = type;
  block.replace(148, 8, "        ");
  int sum = 0;
  for (const char c : block)
    sum += signed_sum ? static_cast<signed char>(c) : static_cast<unsigned char>(c);
  std::snprintf(field, sizeof field, "%06o", static_cast<unsigned>(sum));
  block.replace(148, 7, std::string(field, 6) + '\0');
  std::string padded = contents;
  padded.append((512 - contents.size() % 512) % 512, '\0');
  return block + padded;
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t size = rest.size() + 1;
  while (std::to_string(size).size() + rest.size() != size) ++size;
  return std::to_string(size) + rest;
}

/// The names that are read, and what was left out behind a bar.
std::string listing(const std::string& bytes) {
  const TarDirectory directory = read_tar_contents(std::as_bytes(std::span(bytes)), "x.tar");
  std::string text;
  for (const TarEntry& entry : directory.entries)
    text += entry.name + "=" + bytes.substr(entry.offset, entry.size) + " ";
  text += "|";
  for (const std::string& name : directory.left_out) text += " " + name;
  return text;
}

}  // namespace

TEST(TarVariants, MembersOfAllTypes) {
  const std::string before = member("a", '0', "1"), after = member("b", '0', "2");
  const std::tuple<std::string, const char*> cases[] = {
      {member("l", '1', "", 5), "a=1 b=2 | l (a hard link)"},  // a size without contents
      {member("l", '2', ""), "a=1 b=2 | l (a symbolic link)"},
      {member("d", '3', ""), "a=1 b=2 | d (a device)"},
      {member("d", '4', ""), "a=1 b=2 | d (a device)"},
      {member("folder", '5', "", 4096), "a=1 b=2 |"},
      {member("p", '6', ""), "a=1 b=2 | p (a pipe)"},
      {member("c", '7', "3"), "a=1 c=3 b=2 |"},
      {member("v", 'V', ""), "a=1 b=2 | v (the archive's own label)"},
      {member("z", 'Z', "zz"), "a=1 b=2 | z (of a type that is not known)"},
      {member("x", 'x', pax_record("path", "long/name")) + member("c", '0', "3"),
       "a=1 long/name=3 b=2 |"},
      {member("x", 'X', pax_record("path", "sun")) + member("c", '0', "3"), "a=1 sun=3 b=2 |"},
      {member("g", 'g', pax_record("comment", "0123abcd")), "a=1 b=2 |"},
      {member("x", 'x', pax_record("mtime", "1.5") + pax_record("size", "1")) +
           member("c", '0', "3", 0),
       "a=1 c=3 b=2 |"},
      {member("x", 'x', pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.name", "s")) +
           member("GNUSparseFile.0/s", '0', "map"),
       "a=1 b=2 | s (a sparse file)"},
      {member("././@LongLink", 'L', std::string(120, 'n') + '\0') + member("n", '0', "3"), nullptr},
      {member("././@LongLink", 'K', std::string(120, 'n') + '\0') + member("l", '2', ""),
       "a=1 b=2 | l (a symbolic link)"},
      {member("\xe9", '0', "3", {}, /*signed_sum=*/true), "a=1 \xe9=3 b=2 |"},
  };
  for (const auto& [middle, wanted] : cases) {
    const std::string found = listing(before + middle + after);
    EXPECT_EQ(found, wanted != nullptr ? wanted : "a=1 " + std::string(120, 'n') + "=3 b=2 |");
  }
}

// GNU's map of a sparse file goes on in blocks that no size counts.
TEST(TarVariants, SparseFilesWithLongMaps) {
  std::string sparse = member("s", 'S', "data");
  sparse[482] = 1;
  unsigned sum = 0;
  sparse.replace(148, 8, "        ");
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(sparse[i]);
  char field[16];
  std::snprintf(field, sizeof field, "%06o", sum);
  sparse.replace(148, 7, std::string(field, 6) + '\0');
  std::string map(1024, 'm');
  map[504] = 1;        // one more block
  map[512 + 504] = 0;  // the last one
  sparse.insert(512, map);
  EXPECT_EQ(listing(sparse + member("b", '0', "2")), "b=2 | s (a sparse file)");
  EXPECT_THROW(listing(sparse.substr(0, 700)), Error);
}

TEST(TarVariants, WhatFollowsTheEnd) {
  const std::string a = member("a", '0', "1"), b = member("b", '0', "2"), end(1024, '\0');
  const std::tuple<std::string, const char*, bool> cases[] = {
      {a + b, "a=1 b=2 |", false},
      {a + end, "a=1 |", false},
      {a + end + b, "a=1 b=2 |", false},
      {a + end + end + std::string(9216, '\0') + b + end, "a=1 b=2 |", false},
      {end + a, "a=1 |", false},
      {a + end.substr(0, 512) + b, "a=1 b=2 |", false},
      {a + end.substr(0, 700), "a=1 |", false},
      {a + end + "rest", "a=1 |", true},
      {a + end + std::string(2000, 'x'), "a=1 |", true},
      {a + end + b + end + std::string(512, 'x'), "a=1 b=2 |", true},
      {a + end.substr(0, 512) + "rest", "a=1 |", true},
      {a + end + std::string(512, 'x') + b, "a=1 |", true},
  };
  int number = 0;
  for (const auto& [bytes, wanted, more] : cases) {
    SCOPED_TRACE(number++);
    EXPECT_EQ(listing(bytes), wanted);
    EXPECT_EQ(read_tar_contents(std::as_bytes(std::span(bytes)), "x").has_more_behind_end, more);
  }
}

TEST(TarVariants, EveryCutButOneBetweenMembersIsAnError) {
  const std::string whole = member("a", '0', std::string(600, '1')) + member("b", '0', "2");
  for (size_t size = 513; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string cut = whole.substr(0, size);
    if (size == whole.size() - 1024) {
      EXPECT_EQ(listing(cut), "a=" + std::string(600, '1') + " |");
      continue;
    }
    try {
      listing(cut);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("it is truncated"), std::string::npos)
          << error.what();
    }
  }
}

TEST(TarVariants, WhatIsInPlaceOfAnArchiveIsSaid) {
  const test::TempDir dir;
  for (const auto& [text, words] : std::map<std::string, std::string>{
           {"\x28\xb5\x2f\xfd" + std::string(600, 'x'), "a Zstandard file; unpack it first"},
           {"\xfd\x37zXZ\0"s + std::string(600, 'x'), "an xz file"},
           {"BZh9" + std::string(600, 'x'), "a bzip2 file"},
           {"version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
           {"<html><body>Sign in</body></html>", "a web page"}}) {
    write_file(dir / "x.tar", text);
    try {
      TarReader reader(dir / "x.tar");
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
}

TEST(ZipVariants, BytesInFrontAndBehind) {
  const test::TempDir dir;
  {
    ZipWriter zip(dir / "plain.zip");
    zip.add("a.txt", "first");
    zip.add("b/c.txt", std::string(1000, 'x'));
    zip.finish();
  }
  const std::string plain = read_text_file(dir / "plain.zip");
  for (const std::string& front :
       {""s, "#!/bin/sh\n"s, std::string(100'000, '\0'), "MZ" + std::string(4096, 'q')}) {
    // (A comment would need its length in the end record.)
    write_file(dir / "x.zip", front + plain);
    const ZipReader zip(dir / "x.zip");
    ASSERT_EQ(zip.entries().size(), 2u) << front.size();
    EXPECT_EQ(text_from(zip.read("a.txt")), "first");
    EXPECT_EQ(text_from(zip.read("b/c.txt")), std::string(1000, 'x'));
    EXPECT_EQ(text_from(zip.read_beginning(1, 10)), std::string(10, 'x'));
    EXPECT_EQ(text_from(zip.read_beginning(0, 10)), "first");
  }
  // An archive that says that its directory lies farther back than it can.
  std::string lie = plain;
  lie.replace(plain.size() - 6, 4, "\xff\xff\xff\x7f");
  write_file(dir / "x.zip", lie);
  EXPECT_THROW(ZipReader(dir / "x.zip"), Error);
}

TEST(ZipVariants, TheBeginningOfAPackedEntry) {
  const ZipReader zip(test::data_dir() / "stored_and_deflated.zip");
  for (size_t i = 0; i < zip.entries().size(); ++i) {
    const std::string whole = text_from(zip.read(i));
    for (const size_t size :
         {size_t{0}, size_t{1}, whole.size() / 2, whole.size(), whole.size() + 1})
      EXPECT_EQ(text_from(zip.read_beginning(i, size)), whole.substr(0, size));
  }
}

TEST(ZipVariants, EncryptedEntriesSayWhatToDo) {
  const test::TempDir dir;
  {
    ZipWriter zip(dir / "x.zip");
    zip.add("a.txt", "first");
    zip.finish();
  }
  std::string bytes = read_text_file(dir / "x.zip");
  for (const auto& [mark, flags] : std::map<std::string, size_t>{{"PK\3\4", 6}, {"PK\1\2", 8}})
    bytes[bytes.find(mark) + flags] |= 1;
  write_file(dir / "x.zip", bytes);
  try {
    ZipReader(dir / "x.zip").read("a.txt");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("it is encrypted; unpack the archive"),
              std::string::npos)
        << error.what();
  }
}

TEST(ZipVariants, WhatIsInPlaceOfAnArchiveIsSaid) {
  const test::TempDir dir;
  for (const auto& [text, words] : std::map<std::string, std::string>{
           {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS"},
           {"<!doctype html><html></html>", "a web page"},
           {"\x1f\x8b\x08" + std::string(60, 'x'), "a gzip file"},
           {"", "it is empty"}}) {
    write_file(dir / "x.zip", text);
    try {
      ZipReader reader(dir / "x.zip");
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
}

}  // namespace edm2
