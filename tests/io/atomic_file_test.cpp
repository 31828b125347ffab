#include "edm2/io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "support/checks.h"
#include "support/paths.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(AtomicFile, AppearsWholeAtCommit) {
  test::TempDir dir;
  const fs::path target = dir / "a.txt";
  AtomicFile file(target);
  file.write("one ");
  EXPECT_FALSE(fs::exists(target));
  EXPECT_EQ(file.temporary_path().parent_path(), dir.path());
  file.write("two");
  file.commit();
  EXPECT_EQ(read_text_file(target), "one two");
  EXPECT_THAT(test::names_in(dir.path()), testing::ElementsAre("a.txt"));
}

TEST(AtomicFile, FillsHolesLater) {
  test::TempDir dir;
  AtomicFile file(dir / "a.txt");
  file.write("one ");
  file.skip(4);
  file.write(" three");
  file.write_at(4, std::as_bytes(std::span("two!", 4)));
  file.write(" four");
  file.commit();
  EXPECT_EQ(read_text_file(dir / "a.txt"), "one two! three four");
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  test::TempDir dir;
  write_file(dir / "a.txt", "old");
  {
    AtomicFile file(dir / "a.txt");
    file.write("new");
  }
  EXPECT_EQ(read_text_file(dir / "a.txt"), "old");
  EXPECT_THAT(test::names_in(dir.path()), testing::ElementsAre("a.txt"));
}

TEST(AtomicFile, CommitsWhatALibraryPutInPlaceOfTheTemporaryFile) {
  test::TempDir dir;
  AtomicFile file(dir / "a.txt");
  std::ofstream(dir / "other") << "from a library";
  fs::rename(dir / "other", file.temporary_path());
  file.commit();
  EXPECT_EQ(read_text_file(dir / "a.txt"), "from a library");
}

TEST(AtomicFile, WritesThroughALink) {
  test::TempDir dir;
  write_file(dir / "real", "old");
  fs::create_symlink("real", dir / "link");
  write_file(dir / "link", "new");
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
  EXPECT_EQ(read_text_file(dir / "real"), "new");
}

TEST(AtomicFile, ErrorsNameTheFileAndTheReason) {
  test::TempDir dir;
  EXPECT_THAT(message_of([&] { write_file(dir / "missing" / "a", "x"); }),
              testing::AllOf(testing::HasSubstr("missing/a"), testing::HasSubstr("No such file")));
  EXPECT_THAT(message_of([&] { write_file(dir.path(), "x"); }), testing::HasSubstr("folder"));
  EXPECT_THAT(message_of([&] { write_file("/dev/null", "x"); }),
              testing::HasSubstr("not a regular file"));
  EXPECT_THAT(message_of([&] { read_text_file(dir / "none"); }), testing::HasSubstr("none"));
}

TEST(AtomicFile, LongNamesFit) {
  test::TempDir dir;
  const fs::path target = dir / std::string(250, 'n');
  write_file(target, "x");
  EXPECT_EQ(read_text_file(target), "x");
}

TEST(ReadTextFile, RefusesMoreThanExpected) {
  test::TempDir dir;
  write_file(dir / "a", "12345");
  EXPECT_EQ(read_text_file(dir / "a", 5), "12345");
  EXPECT_THROW(read_text_file(dir / "a", 4), Error);
  EXPECT_THROW(read_text_file(dir.path()), Error);
  write_file(dir / "empty", "");
  EXPECT_EQ(read_text_file(dir / "empty"), "");
}

}  // namespace edm2
