#include "edm2/io/download_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/file_lock.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "support/paths.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

/// Sets the variables that say where the cache is, all others of them are unset; restores them.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"DNNLIB_CACHE_DIR", "HOME", "USERPROFILE", "XDG_CACHE_HOME", "TMPDIR"}) {
      const char* value = std::getenv(name);
      saved_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      set(name, variables.count(name) ? std::optional(variables.at(name)) : std::nullopt);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : saved_) set(name, value);
  }

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    if (value)
      setenv(name.c_str(), value->c_str(), 1);
    else
      unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> saved_;
};

std::vector<fs::path> roots(const std::map<std::string, std::string>& variables,
                            const FetchOptions& options = {}) {
  const Environment environment(variables);
  return cache_roots(options);
}

const std::string published =
    "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/edm2-img512-s-2147483-0.130.pkl";

class DownloadCache : public testing::Test {
 protected:
  DownloadCache() {
    options.cache_dir = dir.path();
    fs::create_directories(downloads);
  }
  void put(const std::string& name, const std::string& contents = "x") {
    write_file(downloads / name, contents);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(downloads))
      result.push_back(entry.path().filename().string());
    std::sort(result.begin(), result.end());
    return result;
  }
  test::TempDir dir;
  fs::path downloads = dir / "downloads";
  FetchOptions options;
};

}  // namespace

TEST(CacheRoots, OfTheOriginal) {
  EXPECT_THAT(roots({{"DNNLIB_CACHE_DIR", "/a"}, {"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}),
              ElementsAre("/a"));
  EXPECT_THAT(roots({{"DNNLIB_CACHE_DIR", ""}, {"HOME", "/h"}}), ElementsAre(""));
  EXPECT_THAT(roots({{"HOME", "/h"}, {"USERPROFILE", "/u"}}), ElementsAre("/h/.cache/dnnlib"));
  EXPECT_THAT(roots({{"USERPROFILE", "/u"}}), ElementsAre("/u/.cache/dnnlib"));
  EXPECT_THAT(roots({}), ElementsAre("/tmp/.cache/dnnlib"));
  EXPECT_THAT(roots({{"DNNLIB_CACHE_DIR", "/a"}}, {.cache_dir = "/explicit"}),
              ElementsAre("/explicit"));
}

TEST(CacheRoots, OfTheBaseDirectorySpecification) {
  test::TempDir dir;
  const std::string home = dir / "home", xdg = dir / "xdg";
  const fs::path original = fs::path(home) / ".cache" / "dnnlib", ours = fs::path(xdg) / "dnnlib";
  EXPECT_THAT(roots({{"HOME", home}, {"XDG_CACHE_HOME", xdg}}), ElementsAre(ours, original));
  fs::create_directories(original);  // the original has been used: go on there
  EXPECT_THAT(roots({{"HOME", home}, {"XDG_CACHE_HOME", xdg}}), ElementsAre(original, ours));
  EXPECT_THAT(roots({{"HOME", home}, {"XDG_CACHE_HOME", "relative"}}), ElementsAre(original));
  EXPECT_THAT(roots({{"HOME", home}, {"XDG_CACHE_HOME", ""}}), ElementsAre(original));
  EXPECT_THAT(roots({{"HOME", home}, {"XDG_CACHE_HOME", home + "/.cache"}}), ElementsAre(original));
}

TEST(CacheRoots, FilesAreFoundInBoth) {
  test::TempDir dir;
  const Environment environment({{"HOME", dir / "home"}, {"XDG_CACHE_HOME", dir / "xdg"}});
  const std::string name = cached_file_name(published, "");
  EXPECT_FALSE(find_cached(published, {}));
  for (const fs::path& folder : {dir / "xdg" / "dnnlib", dir / "home" / ".cache" / "dnnlib"}) {
    fs::create_directories(folder / "downloads");
    write_file(folder / "downloads" / name, "x");
    EXPECT_EQ(find_cached(published, {}), folder / "downloads" / name);
    fs::remove(folder / "downloads" / name);
  }
}

TEST(CachedFileName, OfTheOriginal) {
  EXPECT_EQ(cached_file_name(published, ""),
            "5ee229c71e304321d3d722ec5f0ccb45_https___nvlabs-fi-cdn.nvidia.com_edm2_posthoc-"
            "reconstructions_edm2-img512-s-2147483-0.130.pkl");
  const std::string md5 = md5_hex("https://a.b/c") + "_";
  EXPECT_EQ(cached_file_name("https://a.b/c", "attachment; filename=\"x y/z.pkl\""),
            md5 + "x_y_z.pkl");
  EXPECT_EQ(cached_file_name("https://a.b/c", "attachment; filename=x.pkl"), md5 + "https___a.b_c");
  EXPECT_EQ(cached_file_name("https://a.b/c", "attachment; filename=\"x"), md5 + "https___a.b_c");
  EXPECT_EQ(cached_file_name("https://a.b/c", "filename=\"" + std::string(300, 'n') + "\""),
            md5 + std::string(128, 'n'));
}

TEST_F(DownloadCache, FindsWhatTheOriginalLeft) {
  const std::string name = cached_file_name(published, "");
  put(name);
  EXPECT_EQ(find_cached(published, options), downloads / name);
  EXPECT_FALSE(find_cached("https://a.b/c", options));
  put(name + "2");  // which of them?
  EXPECT_FALSE(find_cached(published, options));
}

TEST_F(DownloadCache, ListsItsFilesOnly) {
  const std::string finished = cached_file_name(published, "");
  const std::string unknown = md5_hex("https://a.b/c") + "_c";
  const std::string stem = "tmp_" + md5_hex("https://a.b/d");
  put(finished, "123");
  put(unknown);
  put(stem + ".part", "12345");
  put(stem + ".json", nlohmann::json{{"url", "https://me:secret@a.b/d"}}.dump());
  put(stem + ".lock", "");
  put("tmp_0123456789abcdef0123456789abcdef_" + finished);  // of the original
  put("holiday.jpg");
  put("0123456789abcdef0123456789abcdef.txt");
  fs::create_directories(downloads / (md5_hex("folder") + "_folder"));
  const auto files = list_cache(options, {published});
  ASSERT_EQ(files.size(), 4u);
  std::map<std::string, CachedFile> by_name;
  for (const auto& file : files) by_name[file.path.filename().string()] = file;
  EXPECT_EQ(by_name.at(finished).url, published);
  EXPECT_EQ(by_name.at(finished).size, 3u);
  EXPECT_FALSE(by_name.at(finished).unfinished);
  EXPECT_EQ(by_name.at(unknown).url, "");
  EXPECT_EQ(by_name.at(stem + ".part").url, "https://a.b/d");
  EXPECT_TRUE(by_name.at(stem + ".part").unfinished);
}

TEST_F(DownloadCache, NotesOnFilesTellAddresses) {
  const std::string name = md5_hex("https://a.b/c") + "_c";
  put(name);
  note_origin(downloads / name, "https://a.b/c");
  if (noted_origin(downloads / name).empty()) GTEST_SKIP() << "the file system keeps no notes";
  EXPECT_EQ(list_cache(options).at(0).url, "https://a.b/c");
  EXPECT_EQ(noted_origin(downloads / "none"), "");
}

TEST_F(DownloadCache, EmptyAndMissingFolders) {
  EXPECT_THAT(list_cache(options), IsEmpty());
  fs::remove_all(downloads);
  EXPECT_THAT(list_cache(options), IsEmpty());
}

TEST_F(DownloadCache, Patterns) {
  CachedFile file;
  file.path = downloads / cached_file_name(published, "");
  file.url = published;
  for (const char* pattern :
       {published.c_str(), "img512-s", "*-0.130.pkl", "https://*", "*img512-?-*", "5ee229c7", "*"})
    EXPECT_TRUE(matches(file, pattern)) << pattern;
  for (const char* pattern : {"img512-xs", "*img64*", "img*", "?", "*.safetensors", "*x"})
    EXPECT_FALSE(matches(file, pattern)) << pattern;
}

TEST_F(DownloadCache, RemovesAFile) {
  put(cached_file_name(published, ""));
  put("holiday.jpg");
  EXPECT_TRUE(remove_cached(list_cache(options).at(0)));
  EXPECT_THAT(names(), ElementsAre("holiday.jpg"));
}

TEST_F(DownloadCache, RemovesUnfinishedDownloadsThatNobodyWorksOn) {
  const std::string stem = "tmp_" + md5_hex(published);
  put(stem + ".part");
  put(stem + ".json", "{}");
  {
    const auto lock = FileLock::try_acquire(downloads / (stem + ".lock"));
    EXPECT_FALSE(remove_cached(list_cache(options).at(0)));
    EXPECT_TRUE(fs::exists(downloads / (stem + ".part")));
  }
  EXPECT_TRUE(remove_cached(list_cache(options).at(0)));
  EXPECT_THAT(names(), IsEmpty());
}

}  // namespace edm2
