#include "edm2/nn/stored_snapshot.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "edm2/core/error.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

class StoredSnapshots : public testing::TestWithParam<const char*> {
 protected:
  StoredSnapshots() { save_snapshot(path_, snapshot_, snapshot_format_for(path_)); }

  const Snapshot snapshot_ = test::random_snapshot(test::tiny_options(5));
  const test::TempDir folder_;
  const fs::path path_ = folder_.path() / GetParam();
  const bool stays_in_file_ = path_.extension() != ".pt";  // a zip archive is read at once
};

TEST_P(StoredSnapshots, GiveEachTensorOnce) {
  StoredSnapshot stored(path_);
  const Snapshot& said = stored.description();
  EXPECT_EQ(said.network, snapshot_.network);
  EXPECT_EQ(said.encoder, snapshot_.encoder);
  ASSERT_EQ(said.tensors.size(), snapshot_.tensors.size());
  int64_t in_file = 0;
  for (size_t i = 0; i < said.tensors.size(); ++i) {
    EXPECT_EQ(said.tensors[i].first, snapshot_.tensors[i].first);
    EXPECT_EQ(said.tensors[i].second.sizes(), snapshot_.tensors[i].second.sizes());
    EXPECT_EQ(said.tensors[i].second.scalar_type(), snapshot_.tensors[i].second.scalar_type());
    in_file += said.tensors[i].second.is_meta() ? 1 : 0;
  }
  EXPECT_EQ(in_file > 10, stays_in_file_);
  for (const auto& [name, tensor] : snapshot_.tensors) {
    EXPECT_TRUE(at::equal(stored.take(name), tensor)) << name;
    EXPECT_EQ(test::error_of([&] { stored.take(name); }),
              "the snapshot lacks the parameter '" + name + "'");
  }
  EXPECT_THROW(stored.take("unet.nothing"), Error);
}

TEST_P(StoredSnapshots, MayBeReplacedMeanwhile) {
  StoredSnapshot stored(path_);
  const fs::path other = folder_.path() / "other";
  save_snapshot(other, test::random_snapshot(test::tiny_options(3)), snapshot_format_for(path_));
  fs::rename(other, path_);
  test::expect_same_snapshot(std::move(stored).load(), snapshot_);
}

TEST_P(StoredSnapshots, SayWhichFileBecameShorter) {
  StoredSnapshot stored(path_);
  fs::resize_file(path_, 100);
  std::string errors;
  for (const auto& [name, tensor] : snapshot_.tensors) try {
      stored.take(name);
    } catch (const Error& error) {
      errors += error.what();
    }
  const bool is_told =
      errors.find(path_.string() + ": it became shorter meanwhile") != std::string::npos;
  EXPECT_EQ(is_told, stays_in_file_) << errors;
}

INSTANTIATE_TEST_SUITE_P(Formats, StoredSnapshots,
                         testing::Values("a.pkl", "a.safetensors", "a.pt"));

TEST(StoredSnapshot, OneInMemoryIsGivenAsItIs) {
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(5));
  StoredSnapshot stored = snapshot;
  EXPECT_TRUE(stored.description().tensors[3].second.is_same(snapshot.tensors[3].second));
  EXPECT_TRUE(stored.take(snapshot.tensors[3].first).is_same(snapshot.tensors[3].second));
  EXPECT_FALSE(std::move(stored).load().tensors[3].second.defined());
}

}  // namespace
}  // namespace edm2
