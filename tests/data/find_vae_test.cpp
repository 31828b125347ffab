// Where VAEs are looked for.
#include "data/find_vae.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

constexpr char model[] = "stabilityai/sd-vae-ft-mse";
constexpr char folder_name[] = "models--stabilityai--sd-vae-ft-mse";
const std::string revision_a(40, 'a'), revision_b(40, 'b');

/// An environment with nothing in it but a home folder.
class FindVae : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME",
                             "DNNLIB_CACHE_DIR", "HF_ENDPOINT", "HOME"})
      set(name, {});
    set("HOME", (dir / "home").string());
    options.offline = true;
  }
  void TearDown() override {
    for (const auto& [name, value] : before) set_variable(name, value);
  }
  void set(const char* name, const std::optional<std::string>& value) {
    const char* old = std::getenv(name);
    before.emplace(name, old ? std::optional<std::string>(old) : std::nullopt);
    set_variable(name, value);
  }
  static void set_variable(const std::string& name, const std::optional<std::string>& value) {
    if (value)
      setenv(name.c_str(), value->c_str(), 1);
    else
      unsetenv(name.c_str());
  }

  /// A revision as the hub's tools store it: links to blobs.
  static fs::path add_revision(const fs::path& cache, const std::string& revision) {
    const fs::path root = cache / folder_name, snapshot = root / "snapshots" / revision;
    fs::create_directories(snapshot);
    fs::create_directories(root / "blobs");
    for (const char* name : {"config.json", "diffusion_pytorch_model.safetensors"}) {
      std::ofstream(root / "blobs" / (revision + name)) << "{}";
      fs::create_symlink(fs::path("../../blobs") / (revision + name), snapshot / name);
    }
    return snapshot;
  }
  /// The folder of the files that were found, or the message of the error.
  std::string found(const std::string& name = model) {
    try {
      return find_vae(name, options, *make_progress(ProgressStyle::quiet))
          .weights.parent_path()
          .string();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
  }

  test::TempDir dir;
  FetchOptions options;
  std::map<std::string, std::optional<std::string>> before;
};

}  // namespace

TEST_F(FindVae, NothingThere) {
  const std::string message = found();
  for (const char* text : {"stabilityai/sd-vae-ft-mse", "--vae=FOLDER", "config.json",
                           "https://huggingface.co/stabilityai/sd-vae-ft-mse"})
    EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST_F(FindVae, EachCacheInItsTurn) {
  // From the last that is looked into to the first: each one found hides those before.
  const auto expect_found = [&](const fs::path& cache) {
    const fs::path snapshot = add_revision(cache, revision_a);
    EXPECT_EQ(found(), snapshot.string());
  };
  expect_found(dir / "home/.cache/huggingface/hub");
  set("XDG_CACHE_HOME", (dir / "xdg").string());
  expect_found(dir / "xdg/huggingface/hub");
  set("HF_HOME", (dir / "hf").string());
  expect_found(dir / "hf/hub");
  set("HF_HUB_CACHE", (dir / "hub").string());
  expect_found(dir / "hub");
  expect_found(dir / "home/.cache/dnnlib/diffusers");
  set("DNNLIB_CACHE_DIR", (dir / "cache").string());
  expect_found(dir / "cache/diffusers");
  options.cache_dir = dir / "own";
  expect_found(dir / "own/diffusers");
}

TEST_F(FindVae, TheMainRevisionIsTaken) {
  const fs::path cache = dir / "home/.cache/huggingface/hub";
  const fs::path a = add_revision(cache, revision_a), b = add_revision(cache, revision_b);
  EXPECT_EQ(found(), a.string());
  fs::create_directories(cache / folder_name / "refs");
  write_file(cache / folder_name / "refs" / "main", revision_b);
  EXPECT_EQ(found(), b.string());
  write_file(cache / folder_name / "refs" / "main", revision_b + "\n");
  EXPECT_EQ(found(), b.string());
}

TEST_F(FindVae, IncompleteRevisionsDoNotCount) {
  const fs::path cache = dir / "home/.cache/huggingface/hub";
  const fs::path a = add_revision(cache, revision_a), b = add_revision(cache, revision_b);
  fs::remove(a / "config.json");
  EXPECT_EQ(found(), b.string());
  // A link whose blob is gone.
  fs::remove(b / "diffusion_pytorch_model.safetensors");
  fs::create_symlink("../../blobs/gone", b / "diffusion_pytorch_model.safetensors");
  EXPECT_NE(found().find("is not on this machine"), std::string::npos);
  // Torch files are taken, too.
  write_file(b / "diffusion_pytorch_model.bin", "x");
  EXPECT_EQ(found(), b.string());
}

TEST_F(FindVae, AFolderByItsName) {
  test::write_autoencoder(dir / "mine", test::small_autoencoder(test::small_autoencoder_options()));
  EXPECT_EQ(found(dir / "mine"), (dir / "mine").string());
}

TEST_F(FindVae, DownloadedIfItIsNowhere) {
  const test::HttpServer server({test::serve({.body = "{}"}), test::serve({.body = "weights"})});
  set("HF_ENDPOINT", server.address());
  options.offline = false;
  for (int i = 0; i < 2; ++i) {  // the second time from the cache
    const AutoencoderFiles files = find_vae(model, options, *make_progress(ProgressStyle::quiet));
    EXPECT_EQ(read_text_file(files.config.value()), "{}");
    EXPECT_EQ(read_text_file(files.weights), "weights");
    options.offline = true;
  }
  ASSERT_EQ(server.count(), 2u);
  const std::string folder = "/stabilityai/sd-vae-ft-mse/resolve/main/";
  EXPECT_EQ(server.requests()[0].target, folder + "config.json");
  EXPECT_EQ(server.requests()[1].target, folder + "diffusion_pytorch_model.safetensors");
}

TEST_F(FindVae, ADownloadThatFailsSaysWhatToDo) {
  const test::HttpServer server({test::serve({.body = "{}"}), test::status(404)});
  set("HF_ENDPOINT", server.address());
  options.offline = false;
  const std::string message = found();
  for (const std::string& text :
       {std::string("--vae=FOLDER"), server.address(), std::string("404")})
    EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST_F(FindVae, OddNamesAreNoPathsAndNoAddresses) {
  for (const char* name : {"", "vae", "a/b/c", "../..", "a/..", "a b/c", "a/b?c", "http://x/y"}) {
    const std::string message = found(name);
    EXPECT_NE(message.find("name its folder or file with --vae=PATH"), std::string::npos)
        << message;
  }
}

}  // namespace edm2
