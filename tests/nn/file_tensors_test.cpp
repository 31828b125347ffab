#include "nn/file_tensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "support/paths.h"

namespace edm2 {
namespace {

class TensorsOfFile : public testing::Test {
 protected:
  /// A file of `count` float32 numbers 0, 1, 2, ... behind one odd byte.
  void write(int64_t count) {
    const Tensor numbers = at::arange(count, at::kFloat);
    std::ofstream file(path_, std::ios::binary);
    file.put('x');
    file.write(static_cast<const char*>(numbers.const_data_ptr()),
               static_cast<std::streamsize>(numbers.nbytes()));
    file.close();
    mapped_.emplace(path_);
  }
  /// A view of numbers in the file.
  Tensor view(int64_t first, at::IntArrayRef sizes) {
    const auto* data = mapped_->bytes().data() + 1 + first * 4;
    return at::from_blob(const_cast<std::byte*>(data), sizes, at::kFloat);
  }
  std::optional<FileTensors> leave(StateDict& tensors) {
    return FileTensors::leave(tensors, mapped_->bytes(), RandomAccessFile(path_));
  }

  const test::TempDir folder_;
  const std::filesystem::path path_ = folder_.path() / "tensors";
  std::optional<MappedFile> mapped_;
};

}  // namespace

TEST_F(TensorsOfFile, GetMemoryOfTheirOwn) {
  write(3'000'000);
  const Tensor elsewhere = at::ones({3});
  StateDict tensors = {{"b", view(2'500'000, {2, 3})},
                       {"elsewhere", elsewhere},
                       {"a", view(0, {500, 5000})},
                       {"none", at::empty({0})}};
  const auto file = leave(tensors);
  ASSERT_TRUE(file);
  EXPECT_TRUE(tensors[1].second.is_same(elsewhere));
  EXPECT_TRUE(tensors[0].second.is_meta() && tensors[2].second.is_meta());
  EXPECT_EQ(tensors[2].second.sizes(), at::IntArrayRef({500, 5000}));
  mapped_.reset();
  std::filesystem::remove(path_);  // it stays open
  const Tensor one = file->read(2, tensors[2].second);
  EXPECT_TRUE(at::equal(one, at::arange(2'500'000, at::kFloat).view({500, 5000})));
  file->read_all(tensors);
  EXPECT_TRUE(
      at::equal(tensors[0].second, at::arange(2'500'000, 2'500'006, at::kFloat).view({2, 3})));
  EXPECT_TRUE(at::equal(tensors[2].second, one));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors[2].second.const_data_ptr()) % 64, 0u);
  tensors[2].second[0][0] = 5;  // may be written to
  EXPECT_EQ(tensors[2].second[0][0].item<float>(), 5);
}

TEST_F(TensorsOfFile, GiveBackTheirMemoryOneByOne) {
  write(16 << 20);
  StateDict tensors = {{"a", view(0, {8 << 20})}, {"b", view(8 << 20, {8 << 20})}};
  leave(tensors)->read_all(tensors);
  mapped_.reset();
  const uint64_t both = own_memory().resident;
  tensors.erase(tensors.begin());
  EXPECT_LE(own_memory().resident + (30u << 20), both);
  EXPECT_EQ(tensors[0].second[5].item<float>(), (8 << 20) + 5);
}

TEST_F(TensorsOfFile, WhatSharesBytesOrHasStridesStaysAsItIs) {
  write(100);
  StateDict overlapping = {{"a", view(0, {10})}, {"b", view(9, {10})}};
  StateDict strided = {{"a", view(0, {4, 5}).t()}};
  for (StateDict* tensors : {&overlapping, &strided}) {
    const StateDict before = *tensors;
    EXPECT_FALSE(leave(*tensors));
    for (size_t i = 0; i < before.size(); ++i)
      EXPECT_TRUE(before[i].second.is_same((*tensors)[i].second));
  }
}

TEST_F(TensorsOfFile, AFileThatShrinksIsAnError) {
  write(100);
  StateDict tensors = {{"a", view(0, {100})}};
  const auto file = leave(tensors);
  ASSERT_TRUE(file);
  std::filesystem::resize_file(path_, 200);
  EXPECT_THROW(file->read(0, tensors[0].second), Error);
  EXPECT_THROW(file->read_all(tensors), Error);
}

}  // namespace edm2
