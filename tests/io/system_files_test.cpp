#include "io/system_files.h"

#include <gtest/gtest.h>

namespace edm2 {
namespace {

TEST(SystemFiles, AreToldByAnyPartOfTheirPath) {
  for (const char* left :
       {"._1.png", "a/._1.png", "a\\._1.png", "__MACOSX/a/1.png", "a/.ipynb_checkpoints/1.png",
        ".cache/x", ".DS_Store", "a/Thumbs.db", "THUMBS.DB", "desktop.ini", "$RECYCLE.BIN/1.png",
        "@eaDir/1.png", ".git/x", "./.hidden/1.png", "...png"})
    EXPECT_TRUE(is_system_file(left)) << left;
  for (const char* data : {"1.png", "a/1.png", "./1.png", "../1.png", "a/./b.png", "a.b/1.png",
                           "_1.png", "MACOSX/1.png", "thumbs.db.png", "a//b.png", ""})
    EXPECT_FALSE(is_system_file(data)) << data;
}

TEST(SystemFiles, OfNetworkStorageAndOldWindows) {
  for (const char* left :
       {"#recycle/1.png", "a/#snapshot/1.png", "@Recycle/1.png", "@Recently-Snapshot/1.png",
        "@tmp/x", "~snapshot/1.png", "Network Trash Folder/1.png", "Temporary Items/1.png",
        "FOUND.000/FILE0000.CHK", "found.012/1.png", "RECYCLER/S-1/Dc1.png", "ehthumbs_vista.db",
        "a/resource.frk/1.png", "My Previews.lrdata/1.png"})
    EXPECT_TRUE(is_system_file(left)) << left;
  for (const char* data :
       {"recycler/1.png", "recycled/1.png", "recycle/1.png", "snapshot/1.png", "tmp/1.png",
        "found.12/1.png", "found.abc/1.png", "found/1.png", "temporary/1.png", "lrdata/1.png"})
    EXPECT_FALSE(is_system_file(data)) << data;
}

TEST(SystemFiles, AreTakenOutInOrder) {
  std::vector<std::string> names = {"._b", "a", ".x/c", "d"};
  const auto taken = take_system_files(names);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "d"}));
  EXPECT_EQ(taken, (std::vector<std::string>{"._b", ".x/c"}));
  EXPECT_EQ(system_files_note(taken),
            "passed over 2 files that systems leave behind, such as '._b'");
  EXPECT_EQ(system_files_note({"._b"}), "passed over 1 file that systems leave behind: '._b'");
  EXPECT_EQ(system_files_note({}), "");
}

}  // namespace
}  // namespace edm2
