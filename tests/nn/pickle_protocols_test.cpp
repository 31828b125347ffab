// Snapshots of every protocol of pickle, with tensors that share storages, through all that reads
// snapshots.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/snapshot_index.h"
#include "edm2/nn/stored_snapshot.h"
#include "edm2/nn/weights_file.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/pickle_protocols.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

// Reused memory differs from what was there.
void scribble() {
  for (int i = 0; i < 50; ++i) {
    const std::string memory(1000 + 1000 * static_cast<size_t>(i), 'x');
    ASSERT_EQ(memory.back(), 'x');
  }
}

void expect_everywhere(const fs::path& path, const Snapshot& expected) {
  test::expect_same_snapshot(load_snapshot(path), expected);
  test::expect_same_snapshot(load_weights(path).snapshot, expected);
  StoredSnapshot stored(path);
  scribble();
  for (const auto& [name, tensor] : expected.tensors)
    EXPECT_TRUE(at::equal(stored.take(name), tensor)) << name;
  const SnapshotIndex index = index_snapshot(path);
  scribble();
  const RandomAccessFile file(path);
  ASSERT_EQ(index.tensors.size(), expected.tensors.size());
  for (size_t i = 0; i < index.tensors.size(); ++i) {
    const StoredTensor& place = index.tensors[i];
    Tensor tensor = place.copy;
    if (!tensor.defined()) {
      tensor = at::empty(place.shape, place.dtype);
      file.read_at(place.offset, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()});
    }
    EXPECT_TRUE(at::equal(tensor, expected.tensors[i].second)) << place.name;
  }
}

std::string pickle_of(const Snapshot& snapshot) {
  const test::TempDir dir;
  save_snapshot(dir / "x.pkl", snapshot, SnapshotFormat::pickle);
  return read_text_file(dir / "x.pkl");
}

TEST(PickleProtocols, EverySnapshotIsTheSame) {
  const test::TempDir dir;
  for (const auto dtype : {at::kHalf, at::kFloat, at::kDouble}) {
    Snapshot snapshot = test::random_snapshot(test::tiny_options(3), dtype);
    const std::string pickle = pickle_of(snapshot);
    for (int protocol = 0; protocol <= 5; ++protocol) {
      SCOPED_TRACE(protocol);
      write_file(dir / "x.pkl", test::in_protocol(pickle, protocol));
      expect_everywhere(dir / "x.pkl", snapshot);
    }
  }
}

TEST(PickleProtocols, TruncationsAreErrors) {
  const test::TempDir dir;
  const std::string pickle = pickle_of(test::random_snapshot(test::tiny_options(0, 8, 4)));
  for (int protocol = 0; protocol <= 5; ++protocol) {
    const std::string whole = test::in_protocol(pickle, protocol);
    for (size_t size = 0; size < whole.size(); size += 1 + size / 9) {
      write_file(dir / "x.pkl", whole.substr(0, size));
      EXPECT_THROW(load_snapshot(dir / "x.pkl"), Error) << protocol << ' ' << size;
      EXPECT_THROW(index_snapshot(dir / "x.pkl"), Error) << protocol << ' ' << size;
    }
  }
}

// Two tensors of the same shape, and their places among the tensors of the pickle.
struct Pair {
  Snapshot snapshot = test::random_snapshot(test::tiny_options(0));
  std::string pickle = pickle_of(snapshot);
  size_t a = 0, b = 0;
  std::vector<int64_t> sizes, strides;
  int64_t numel = 0;

  Pair() {
    const auto position = [&](const std::string& wanted) {
      for (size_t i = 0; i < snapshot.tensors.size(); ++i)
        if (snapshot.tensors[i].first == wanted) return i;
      throw Error("no " + wanted);
    };
    a = position("unet.enc.8x8_block0.conv_res0.weight");
    b = position("unet.enc.8x8_block0.conv_res1.weight");
    const Tensor& first = snapshot.tensors[a].second;
    sizes = first.sizes().vec();
    strides = first.strides().vec();
    numel = first.numel();
  }
  Tensor& first() { return snapshot.tensors[a].second; }
  Tensor& second() { return snapshot.tensors[b].second; }
};

// Tensors of pickles come in the order of the snapshot: both walk the modules.
void expect_in_all_protocols(const Pair& pair, const std::vector<Tensor>& storages,
                             const std::vector<test::StoragePlace>& places) {
  const test::TempDir dir;
  const std::string shared = test::with_shared_storages(pair.pickle, storages, places);
  for (int protocol = 0; protocol <= 5; ++protocol) {
    SCOPED_TRACE(protocol);
    write_file(dir / "x.pkl", test::in_protocol(shared, protocol));
    expect_everywhere(dir / "x.pkl", pair.snapshot);
  }
}

TEST(PickleStorages, OneForTwoTensors) {
  Pair pair;
  const Tensor both = at::cat({pair.first().flatten(), pair.second().flatten()});
  expect_in_all_protocols(pair, {both},
                          {{pair.a, 0, 0, pair.sizes, pair.strides},
                           {pair.b, 0, pair.numel, pair.sizes, pair.strides}});
}

TEST(PickleStorages, OneForTwoTensorsThatOverlap) {
  Pair pair;
  const Tensor both = at::cat({pair.first().flatten(), pair.second().flatten()});
  const int64_t middle = pair.numel / 2;
  pair.second() = both.narrow(0, middle, pair.numel).reshape(pair.sizes).clone();
  expect_in_all_protocols(
      pair, {both},
      {{pair.a, 0, 0, pair.sizes, pair.strides}, {pair.b, 0, middle, pair.sizes, pair.strides}});
  pair.second() = pair.first().clone();
  expect_in_all_protocols(
      pair, {both},
      {{pair.a, 0, 0, pair.sizes, pair.strides}, {pair.b, 0, 0, pair.sizes, pair.strides}});
}

TEST(PickleStorages, StridesAndRoomAround) {
  Pair pair;
  // Channels last, with numbers before and behind that belong to nothing.
  const Tensor last = pair.first().permute({0, 2, 3, 1}).contiguous();
  const Tensor storage =
      at::cat({at::ones({5}, at::kHalf), last.flatten(), at::ones({3}, at::kHalf)});
  const std::vector<int64_t> strides = last.permute({0, 3, 1, 2}).strides().vec();
  expect_in_all_protocols(pair, {storage}, {{pair.a, 0, 5, pair.sizes, strides}});
  // Every other number.
  const Tensor spread = at::zeros({2 * pair.numel + 1}, at::kHalf);
  spread.narrow(0, 1, 2 * pair.numel).slice(0, 0, c10::nullopt, 2).copy_(pair.second().flatten());
  std::vector<int64_t> doubled = pair.strides;
  for (int64_t& stride : doubled) stride *= 2;
  expect_in_all_protocols(pair, {spread}, {{pair.b, 0, 1, pair.sizes, doubled}});
}

TEST(PickleStorages, WhatReachesBeyondIsRefused) {
  const Pair pair;
  const test::TempDir dir;
  const Tensor storage = at::zeros({pair.numel}, at::kHalf);
  const auto error = [&](int protocol, int64_t offset, std::vector<int64_t> strides) {
    const std::string pickle = test::with_shared_storages(
        pair.pickle, {storage}, {{pair.a, 0, offset, pair.sizes, std::move(strides)}});
    write_file(dir / "x.pkl", test::in_protocol(pickle, protocol));
    const std::string loading = test::error_of([&] { load_snapshot(dir / "x.pkl"); });
    EXPECT_EQ(test::error_of([&] { index_snapshot(dir / "x.pkl"); }), loading);
    return loading;
  };
  for (int protocol = 0; protocol <= 5; ++protocol) {
    EXPECT_TRUE(test::contains(error(protocol, 1, pair.strides), "beyond the end of its storage"));
    EXPECT_TRUE(test::contains(error(protocol, -1, pair.strides), "beyond the end"));
    std::vector<int64_t> strides = pair.strides;
    strides[0] += 1;
    EXPECT_TRUE(test::contains(error(protocol, 0, strides), "beyond the end of its storage"));
    strides[0] = -1;
    EXPECT_TRUE(test::contains(error(protocol, 0, strides), "impossible strides"));
  }
}

}  // namespace
}  // namespace edm2
