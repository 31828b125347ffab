// Rules of the builder "imagefolder" of datasets (5.2) for folders of pictures, and where ours
// differ on purpose.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/paths.h"

namespace edm2 {
namespace {

void fill_folder(const test::TempDir& dir, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::filesystem::create_directories((dir / file).parent_path());
    write_file(dir / file, "picture");
  }
}

std::string items_of_folder(const test::TempDir& dir, const std::string& labels = "auto") {
  std::string text;
  const auto source = open_picture_source({.path = dir.path().string(), .labels = labels});
  for (const auto& item : source->items())
    text += (text.empty() ? "" : " ") + item.name + "=" + item.label.dump();
  return text;
}

}  // namespace

TEST(ImageFolderRules, ClassesAreInTheOrderOfTheirBytes) {
  const test::TempDir dir;
  fill_folder(dir, {"a/1.png", "10/1.png", "b/1.png", "C/1.png", "9/1.png", "b/deeper/2.png"});
  EXPECT_EQ(items_of_folder(dir),
            "10/1.png=0 9/1.png=1 C/1.png=2 a/1.png=3 b/1.png=4 b/deeper/2.png=4");
}

/// A network without classes, as there.
TEST(ImageFolderRules, OneFolderIsNoClass) {
  const test::TempDir dir;
  fill_folder(dir, {"only/1.png", "only/2.png"});
  EXPECT_EQ(items_of_folder(dir), "only/1.png=null only/2.png=null");
}

/// There a metadata.csv replaces the classes by its columns, and pictures without a line are left
/// out without a word. Here it counts if --labels names it, and no picture gets lost.
TEST(ImageFolderRules, ATableBesideThePicturesTakesNothingAway) {
  const test::TempDir dir;
  fill_folder(dir, {"a/1.png", "a/2.png", "b/1.png"});
  write_file(dir / "metadata.csv", "file_name,label\na/1.png,7\nb/1.png,9\n");
  EXPECT_EQ(items_of_folder(dir), "a/1.png=0 a/2.png=0 b/1.png=1");
  try {
    const auto source = open_picture_source(
        {.path = dir.path().string(), .labels = (dir / "metadata.csv").string()});
    EXPECT_EQ(source->items().size(), 3u);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a/2.png"), std::string::npos) << error.what();
  }
}

}  // namespace edm2
