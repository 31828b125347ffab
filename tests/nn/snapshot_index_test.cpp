#include "edm2/nn/snapshot_index.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "nn/snapshot_formats.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

// The elements of a tensor as the index says where they are.
Tensor read_tensor(const RandomAccessFile& file, const StoredTensor& stored) {
  if (stored.copy.defined()) return stored.copy;
  Tensor tensor = at::empty(stored.shape, stored.dtype);
  file.read_at(stored.offset, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()});
  return tensor;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A file put together from its pieces.
std::string assemble(const SnapshotIndex& index, SnapshotFormat format, const StateDict& tensors) {
  std::string text;
  for (const FilePiece& piece : snapshot_pieces(index, format)) {
    text += piece.bytes;
    if (!piece.tensor) continue;
    const Tensor& tensor = tensors[*piece.tensor].second;
    text.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  return text;
}

std::string index_error(const fs::path& path) {
  try {
    index_snapshot(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_same_as_loaded(const fs::path& path) {
  const Snapshot loaded = load_snapshot(path);
  const SnapshotIndex index = index_snapshot(path);
  const RandomAccessFile file(path);
  ASSERT_TRUE(index.network);
  EXPECT_TRUE(index.network->tensors.empty());
  EXPECT_EQ(index.network->network, loaded.network);
  EXPECT_EQ(index.network->encoder, loaded.encoder);
  EXPECT_EQ(index.network->loss, loaded.loss);
  ASSERT_EQ(index.tensors.size(), loaded.tensors.size());
  for (size_t i = 0; i < loaded.tensors.size(); ++i) {
    const StoredTensor& stored = index.tensors[i];
    EXPECT_EQ(stored.name, loaded.tensors[i].first);
    EXPECT_TRUE(at::equal(read_tensor(file, stored), loaded.tensors[i].second)) << stored.name;
    EXPECT_EQ(stored.is_buffer, stored.name.ends_with("freqs") || stored.name.ends_with("phases"));
  }
}

}  // namespace

TEST(SnapshotIndex, FindsTheElementsInTheFile) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(/*label_dim=*/3);
  for (const char* name : {"a.pkl", "a.safetensors"}) {
    SCOPED_TRACE(name);
    save_snapshot(dir / name, snapshot, snapshot_format_for(name));
    expect_same_as_loaded(dir / name);
    for (const StoredTensor& stored : index_snapshot(dir / name).tensors)
      EXPECT_FALSE(stored.copy.defined());
  }
}

TEST(SnapshotIndexer, SeesWhereAFileDiffersFromTheFirst) {
  const test::TempDir dir;
  Snapshot snapshot = test::small_snapshot(/*label_dim=*/3);
  const auto save = [&](const std::string& name, const Snapshot& contents) {
    save_snapshot(dir / name, contents, snapshot_format_for(name));
  };
  for (const std::string end : {".pkl", ".safetensors"}) {
    SCOPED_TRACE(end);
    save("first" + end, snapshot);
    Snapshot other = snapshot;
    for (auto& [name, tensor] : other.tensors) tensor = tensor.neg();
    save("elements" + end, other);
    other.network.use_fp16 = !other.network.use_fp16;
    save("option" + end, other);
    save("network" + end, test::small_snapshot(/*label_dim=*/4));

    const SnapshotIndexer indexer(dir / ("first" + end));
    for (const std::string name : {"first", "elements", "option", "network"}) {
      SCOPED_TRACE(name);
      const fs::path path = dir / (name + end);
      const SnapshotIndex index = indexer.index(path), expected = index_snapshot(path);
      EXPECT_EQ(index.network->network, expected.network->network);
      EXPECT_EQ(index.network->encoder, expected.network->encoder);
      ASSERT_EQ(index.tensors.size(), expected.tensors.size());
      for (size_t i = 0; i < index.tensors.size(); ++i) {
        EXPECT_EQ(index.tensors[i].name, expected.tensors[i].name);
        EXPECT_EQ(index.tensors[i].shape, expected.tensors[i].shape);
        EXPECT_EQ(index.tensors[i].offset, expected.tensors[i].offset);
      }
    }
    write_file(
        dir / ("cut" + end),
        read_text(dir / ("elements" + end)).substr(0, fs::file_size(dir / ("first" + end)) - 9));
    EXPECT_THROW(indexer.index(dir / ("cut" + end)), Error);
  }
}

TEST(SnapshotIndexGolden, FilesOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  for (const char* name : {"denoiser/rgb16_cond.pkl", "denoiser/released_layout_torch21.pkl",
                           "phema/run/network-snapshot-0000016-0.100.pkl"}) {
    SCOPED_TRACE(name);
    expect_same_as_loaded(test::reference_dir() / name);
  }
}

TEST(SnapshotIndex, PiecesMakeTheFileThatSaveSnapshotWrites) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(/*label_dim=*/0);
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  save_snapshot(dir / "a.safetensors", snapshot, SnapshotFormat::safetensors);
  const SnapshotIndex index = index_snapshot(dir / "a.pkl");
  EXPECT_EQ(assemble(index, SnapshotFormat::pickle, snapshot.tensors), read_text(dir / "a.pkl"));
  EXPECT_EQ(assemble(index, SnapshotFormat::safetensors, snapshot.tensors),
            read_text(dir / "a.safetensors"));
}

TEST(SnapshotIndex, TakesStateDictsOfAnyNetwork) {
  const test::TempDir dir;
  const StateDict state = {{"conv.weight", at::randn({4, 3, 3, 3})},
                           {"norm.running_mean", at::randn({4}, at::kBFloat16)},
                           {"norm.num_batches_tracked", at::full({}, 7, at::kLong)},
                           {"mask", at::ones({2}, at::kBool)}};
  save_safetensors(dir / "net.safetensors", state, {{"buffers", R"(["norm.running_mean"])"}});
  const SnapshotIndex index = index_snapshot(dir / "net.safetensors");
  EXPECT_FALSE(index.network);
  const RandomAccessFile file(dir / "net.safetensors");
  for (const StoredTensor& stored : index.tensors) {
    EXPECT_EQ(stored.is_buffer, stored.name != "conv.weight");
    EXPECT_TRUE(at::equal(read_tensor(file, stored), find_tensor(state, stored.name)));
  }
  EXPECT_EQ(assemble(index, SnapshotFormat::safetensors, state),
            read_text(dir / "net.safetensors"));
  EXPECT_THROW(snapshot_pieces(index, SnapshotFormat::pickle), Error);
  save_safetensors(dir / "bad.safetensors", state, {{"buffers", "[1]"}});
  EXPECT_NE(index_error(dir / "bad.safetensors").find("buffers"), std::string::npos);
}

TEST(SnapshotIndex, CopiesWhatAFileDoesNotHoldInOnePiece) {
  // A torch file in zip form: entries need the checks of a zip reader.
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(/*label_dim=*/0);
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  // A transposed tensor: the original's writers never store one, but pickles can.
  Tensor weight = find_tensor(snapshot.tensors, "unet.out_conv.weight");
  const std::string stored = read_text(dir / "a.pkl");
  const std::string name = dir / "b.pkl";
  std::string text = stored;
  // Shape [3, 16, 3, 3] with strides (144, 9, 3, 1) -> strides (144, 9, 1, 3).
  const auto tuple = [](std::initializer_list<int32_t> values) {
    std::string bytes;
    for (const int32_t value : values) {
      bytes += 'J';
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    return bytes;
  };
  ASSERT_EQ(weight.sizes(), (std::vector<int64_t>{3, 16, 3, 3}));
  const size_t at = text.rfind(tuple({144, 9, 3, 1}));
  ASSERT_NE(at, std::string::npos);
  text.replace(at, tuple({144, 9, 3, 1}).size(), tuple({144, 9, 1, 3}));
  write_file(name, text);
  expect_same_as_loaded(name);
  int64_t copies = 0;
  for (const StoredTensor& tensor : index_snapshot(name).tensors) copies += tensor.copy.defined();
  EXPECT_EQ(copies, 1);
}

TEST(SnapshotIndex, NamesFilesThatAreNoSnapshots) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::small_snapshot(0), SnapshotFormat::pickle);
  const std::string text = read_text(dir / "a.pkl");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{20}, text.size() / 2, text.size() - 1}) {
    write_file(dir / "short.pkl", std::string_view(text).substr(0, size));
    EXPECT_NE(index_error(dir / "short.pkl").find("short.pkl"), std::string::npos) << size;
  }
  EXPECT_NE(index_error(dir / "missing.pkl").find("missing.pkl"), std::string::npos);
}

}  // namespace edm2
