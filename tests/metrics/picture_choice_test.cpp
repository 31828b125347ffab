// Which files are the pictures that are measured.
#include "metrics/picture_choice.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edm2/generate/generate.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/zip.h"
#include "edm2/metrics/pictures.h"
#include "support/checks.h"
#include "support/paths.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PictureChoice : public testing::Test {
 protected:
  void picture(const std::string& name, int64_t width = 8, int64_t height = 8, uint64_t seed = 1,
               const PngText& text = {}) const {
    at::manual_seed(seed);
    fs::create_directories((dir / name).parent_path());
    write_png(dir / name, at::randint(0, 256, {3, height, width}, at::kByte), text);
  }
  void animation(const std::string& name, int64_t width, int64_t height) const {
    WebpAnimation frames(width, height);
    for (int i = 0; i < 2; ++i)
      frames.add({width, height, 3, std::vector<uint8_t>(size_t(3 * width * height), uint8_t(i))},
                 100);
    write_file(dir / name, frames.finish());
  }
  /// A sheet of so many pictures of 8x8.
  void sheet(const std::string& name, int64_t columns, int64_t rows,
             const PngText& text = {}) const {
    picture(name, 10 * columns + 2, 10 * rows + 2, 1, text);
  }
  void seeds(int64_t count, int64_t size = 8) const {
    for (int64_t i = 0; i < count; ++i)
      picture(image_file_name(i, false), size, size, static_cast<uint64_t>(i));
  }
  /// The names that stay, and the notes.
  std::pair<std::vector<std::string>, std::vector<std::string>> sift() const {
    const auto source = open_file_source(dir.path());
    std::vector<std::string> names = source->names();
    auto notes = sift_pictures(*source, names);
    return {names, notes};
  }
  /// Only pictures named as seeds stay, and the first note has these words.
  void expect_only_seeds(int64_t count, const std::string& words) const {
    const auto [names, notes] = sift();
    EXPECT_EQ(names.size(), static_cast<size_t>(count)) << testing::PrintToString(names);
    for (const std::string& name : names)
      EXPECT_EQ(name.find_first_not_of("0123456789.png"), name.npos);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes[0], HasSubstr(words));
  }

  test::TempDir dir;
};

}  // namespace

TEST_F(PictureChoice, NothingIsTakenFromOtherFolders) {
  for (const char* name : {"a.png", "b.png", "img (1).png", "img (2).png", "x copy.png",
                           "000001.png", "sub/000002.png", "12345-steps.png"})
    picture(name, 8, 8, std::hash<std::string>()(name));
  const auto [names, notes] = sift();
  EXPECT_EQ(names.size(), 8u);
  EXPECT_THAT(notes, IsEmpty());
}

TEST_F(PictureChoice, SheetsStripsAndAnimationsBesideSeeds) {
  seeds(6);
  sheet("grid.png", 3, 2);
  expect_only_seeds(6,
                    "passed over 1 picture that is no single one, but a sheet, strip or animation "
                    "of edm2 generate: 'grid.png'");
  sheet("preview.png", 1, 1);
  sheet("000003-steps.png", 8, 1);
  animation("000004-steps.webp", 8, 8);
  animation("all.webp", 32, 22);
  expect_only_seeds(6, "passed over 5 pictures that are no single one");
}

TEST_F(PictureChoice, ManyStripsAndAFewSheets) {
  seeds(4);
  for (int64_t i = 0; i < 4; ++i) {
    sheet(trajectory_file_name(i, false, TrajectoryFormat::strip), 8, 1);
    animation(trajectory_file_name(i, false, TrajectoryFormat::webp), 8, 8);
  }
  for (const char* name : {"grid.png", "more.png", "steps.png"}) sheet(name, 2, 2);
  expect_only_seeds(4, "passed over 11 pictures");
}

TEST_F(PictureChoice, StagesOfLatentsAreSmaller) {
  seeds(3, 128);
  picture("preview.png", 2 * 18 + 2, 2 * 18 + 2);
  picture("000001-steps.png", 8 * 18 + 2, 18 + 2);
  animation("000002-steps.webp", 16, 16);
  expect_only_seeds(3, "passed over 3 pictures");
}

TEST_F(PictureChoice, SheetsThatSayWhatTheyAre) {
  for (const char* name : {"a.png", "b.png", "c.png"}) picture(name);
  sheet("sheet.png", 2, 2, {{parameters_keyword, R"({"seeds":"0-3","version":"1"})"}});
  picture("d.png", 8, 8, 3, {{parameters_keyword, R"({"seed":4,"version":"1"})"}});
  const auto [names, notes] = sift();
  EXPECT_THAT(names, ElementsAre("a.png", "b.png", "c.png", "d.png"));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("'sheet.png'"));
}

TEST_F(PictureChoice, PicturesOfOtherNamesAndSizesAreNotHidden) {
  seeds(3);
  picture("photo.png", 9, 9);  // no sheet of 8x8
  const auto [names, notes] = sift();
  EXPECT_EQ(names.size(), 4u);
  EXPECT_THAT(notes, IsEmpty());
  // More of them than seeds: no leftovers of this program.
  for (const char* name : {"a.png", "b.png", "c.png", "d.png"}) sheet(name, 2, 2);
  EXPECT_EQ(sift().first.size(), 8u);
}

TEST_F(PictureChoice, CopiesByNameAndContent) {
  seeds(3);
  for (const char* name :
       {"000001 (1).png", "000001(2).png", "000001 copy.png", "000001 copy 2.png",
        "000001 - Copy.png", "000001 - Copy (3).png", "000001 (copy).png", "Copy of 000001.png",
        "Kopie von 000001.png", "000001_copy.png"})
    fs::copy(dir / "000001.png", dir / name);
  expect_only_seeds(3,
                    "passed over 10 pictures that are a copy of another one by name and content");
  // Named so, but other pictures; or without the one that they are named after.
  picture("000002 (1).png", 8, 8, 77);
  fs::copy(dir / "000002.png", dir / "000009 (1).png");
  EXPECT_EQ(sift().first.size(), 5u);
}

TEST_F(PictureChoice, ArchivesLikeFolders) {
  seeds(4);
  sheet("grid.png", 2, 2);
  fs::copy(dir / "000001.png", dir / "000001 (1).png");
  const test::TempDir other;
  ZipWriter zip(other / "all.zip");
  for (const std::string& name : test::names_in(dir.path()))
    zip.add("x/" + name, read_text_file(dir / name));
  zip.finish();
  for (const fs::path& path : {dir.path(), other / "all.zip"}) {
    const auto pictures = open_pictures({path});
    EXPECT_EQ(pictures->size(), 4);
    EXPECT_EQ(pictures->notes().size(), 2u);
  }
}

TEST_F(PictureChoice, SeveralSizesAreToldAtOnce) {
  for (int i = 0; i < 9; ++i) picture("a" + std::to_string(i) + ".png", 8, 8, uint64_t(i));
  picture("b.png", 16, 8);
  picture("c.png", 8, 9);
  const std::string message = test::error_of([&] { open_pictures({dir.path()}); });
  for (const char* words : {"b.png", "2 of 11", "all images must have one size"})
    EXPECT_THAT(message, HasSubstr(words));
}

}  // namespace edm2
