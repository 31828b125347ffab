#include "edm2/ema/snapshot_name.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {
namespace {

std::vector<std::string> names(const SnapshotList& list) {
  std::vector<std::string> result;
  for (const SnapshotFile& file : list.files) result.push_back(file.file_name);
  return result;
}

}  // namespace

TEST(SnapshotName, TimesAreMultiplesOf1024) {
  for (const auto& [kimg, nimg] : std::vector<std::pair<int64_t, int64_t>>{{0, 0},
                                                                           {1, 1024},
                                                                           {8, 8192},
                                                                           {16, 16384},
                                                                           {1048, 1048576},
                                                                           {8388, 8388608},
                                                                           {134217, 134217728},
                                                                           {939524, 939524096},
                                                                           {2147483, 2147483648}})
    EXPECT_EQ(nimg_from_kimg(kimg), nimg);
  for (const int64_t kimg : {42, 85, 127, 170, 213, 255, 298, -1})
    EXPECT_THROW(nimg_from_kimg(kimg), Error) << kimg;
  EXPECT_THROW(nimg_from_kimg(INT64_MAX), Error);
  for (int64_t nimg = 0; nimg < 1 << 24; nimg += 1024)
    ASSERT_EQ(nimg_from_kimg(kimg_from_nimg(nimg)), nimg);
}

TEST(SnapshotName, NamesThereAndBack) {
  const auto name = parse_snapshot_name("network-snapshot-0008388-0.050.pkl");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "network-snapshot");
  EXPECT_EQ(name->kimg, 8388);
  EXPECT_EQ(name->std, 0.05);
  EXPECT_EQ(name->file_name(), "network-snapshot-0008388-0.050.pkl");
  const SnapshotName other{"a-b", 12345678, 0.2, SnapshotFormat::safetensors};
  EXPECT_EQ(other.file_name(), "a-b-12345678-0.200.safetensors");
  EXPECT_EQ(parse_snapshot_name(other.file_name())->prefix, "a-b");
  EXPECT_EQ(parse_snapshot_name("-1-0.1.pkl")->prefix, "");
  for (const char* text :
       {"network-snapshot-0008388.pkl", "x-1-0.05.pt", "x-1-05.pkl", "x-1-.5.pkl", "x-1-0..pkl",
        "x-a-0.05.pkl", "x--0.05.pkl", "1-0.05.pkl", "x-1-0.05.pkl.tmp", "x-1-0.5e1.pkl", ".pkl",
        "", "x-99999999999999999999-0.05.pkl", "training-state-0000001.pt"})
    EXPECT_FALSE(parse_snapshot_name(text)) << text;
}

TEST(SnapshotName, SelectsAndSorts) {
  const std::vector<std::string> all = {
      "net-0000016-0.100.pkl",   "net-0000016-0.050.pkl", "net-0000008-0.100.pkl", "readme.txt",
      "other-0000001-0.100.pkl", "net-0000042-0.100.pkl", "net-0000008-0.400.pkl"};
  const SnapshotList list = select_snapshots(all, {.prefix = "net", .stds = {}});
  EXPECT_EQ(names(list), (std::vector<std::string>{"net-0000008-0.100.pkl", "net-0000016-0.050.pkl",
                                                   "net-0000016-0.100.pkl"}));
  ASSERT_EQ(list.notes.size(), 2u);  // 42 kimg and width 0.4 cannot be
  EXPECT_NE(list.notes[0].find("net-0000042-0.100.pkl"), std::string::npos);
  // Widths that `...` computes are off by some bits.
  EXPECT_EQ(
      select_snapshots(all, {.prefix = "net", .stds = {0.05 + 0.05000000000000001}}).files.size(),
      2u);
  const SnapshotList mixed = select_snapshots(all, {});
  EXPECT_EQ(mixed.files.size(), 4u);
  EXPECT_NE(mixed.notes.back().find("'net', 'other'"), std::string::npos) << mixed.notes.back();
}

TEST(SnapshotName, DuplicatesAreNamed) {
  const auto list = select_snapshots({"a-0000008-0.100.pkl", "a-0000008-0.100.safetensors"}, {});
  try {
    check_no_duplicates(list.files);
    FAIL();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("a-0000008-0.100.pkl"), std::string::npos);
    EXPECT_NE(message.find("a-0000008-0.100.safetensors"), std::string::npos);
  }
}

TEST(SnapshotName, FoldersAreListedWithoutFolders) {
  const test::TempDir dir;
  std::ofstream(dir / "a") << "x";
  std::filesystem::create_directory(dir / "b");
  EXPECT_EQ(list_folder(dir.path()), std::vector<std::string>{"a"});
  EXPECT_THROW(list_folder(dir / "missing"), Error);
}

}  // namespace edm2
