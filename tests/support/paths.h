// Where tests find their data and the program under test.
#pragma once

#include <filesystem>
#include <string>

namespace edm2::test {

/// The folder of numbers computed by the original: the one that EDM2_REFERENCE_DIR names, else
/// tests/data/reference, whose README.md says how they were made.
std::filesystem::path reference_dir();

/// The repository.
std::filesystem::path source_dir();

/// Small data kept in the repository: tests/data.
std::filesystem::path data_dir();

/// The edm2 program built beside the tests.
std::filesystem::path program();

/// A fresh, empty folder, removed with everything in it when the object goes.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace edm2::test

/// Skips the test, visibly, where the reference numbers are not there.
#define EDM2_REQUIRE_REFERENCE()                                                \
  do {                                                                          \
    if (!std::filesystem::exists(edm2::test::reference_dir()))                  \
      GTEST_SKIP() << "no reference numbers at " << edm2::test::reference_dir() \
                   << " (set EDM2_REFERENCE_DIR)";                              \
  } while (false)
