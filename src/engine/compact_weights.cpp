#include "engine/compact_weights.h"

#include <ATen/ATen.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/page_tensor.h"
#include "core/parallel.h"
#include "engine/inference_kernels.h"
#include "nn/dispatched_operator.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

const Half* halves(const Tensor& x) { return static_cast<const Half*>(x.const_data_ptr()); }

int64_t blocks_of(int64_t outputs, int64_t block) { return (outputs + block - 1) / block; }

constexpr int64_t square = 8;
using Eight = uint16_t __attribute__((vector_size(16)));

/// to[j][i] = from[i][j] for 8 x 8 numbers in rows that lie that far apart; to's row j is at
/// to + places[j].
void transpose_square(const Half* from, int64_t distance, const int64_t* places, Half* to) {
  Eight rows[square], next[square];
  for (int64_t i = 0; i < square; ++i) std::memcpy(&rows[i], from + i * distance, sizeof(Eight));
  // Three times: rows i and i + 4 are shuffled like cards.
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    std::memcpy(rows, next, sizeof rows);
  }
  for (int64_t j = 0; j < square; ++j) std::memcpy(to + places[j], &rows[j], sizeof(Eight));
}

/// Writes the weights rows[outputs, inputs, taps] in that order.
void arrange(const Half* rows, int64_t outputs, int64_t inputs, int64_t taps, int64_t block,
             int64_t in_block, Half* to) {
  // A few inputs at a time, by way of [taps, some, block] in the nearest cache: rows are far apart.
  const int64_t some = std::gcd(in_block, 32), row = inputs * taps;
  std::vector<Half> near(static_cast<size_t>(taps * some * block));
  std::vector<int64_t> places;  // of the elements of a row
  for (int64_t i = 0; i < some; ++i)
    for (int64_t tap = 0; tap < taps; ++tap) places.push_back((tap * some + i) * block);
  for (int64_t first = 0; first < outputs; first += block, to += row * block) {
    const int64_t count = std::min(block, outputs - first);
    std::fill(near.begin(), near.end(), Half{0});
    for (int64_t i = 0; i < inputs; i += some) {
      const Half* const from = rows + first * row + i * taps;
      const auto elements = static_cast<int64_t>(places.size());
      for (int64_t k = 0; k < count; k += square)
        for (int64_t j = 0; j < elements; j += square) {
          if (k + square <= count && j + square <= elements) {
            transpose_square(from + k * row + j, row, places.data() + j, near.data() + k);
            continue;
          }
          for (int64_t y = k; y < std::min(k + square, count); ++y)
            for (int64_t z = j; z < std::min(j + square, elements); ++z)
              near[static_cast<size_t>(places[static_cast<size_t>(z)] + y)] = from[y * row + z];
        }
      const int64_t place = i / in_block * in_block * taps + i % in_block;
      for (int64_t tap = 0; tap < taps; ++tap)
        std::copy_n(near.data() + tap * some * block, some * block,
                    to + (place + tap * in_block) * block);
    }
  }
}

void arrange(const Tensor& stored, int64_t block, int64_t in_block, const Tensor& to) {
  const Tensor rows = stored.contiguous();
  arrange(halves(rows), rows.size(0), rows.size(1), rows.size(2) * rows.size(3), block, in_block,
          static_cast<Half*>(to.mutable_data_ptr()));
}

/// Whether packed[blocks, ..., block], float32, holds the weights in that order.
bool is_in_order(const Tensor& packed, const Tensor& stored, int64_t block, int64_t in_block) {
  const int64_t outputs = stored.size(0), size = stored[0].numel() * block;
  if (stored.size(1) % in_block != 0 || packed.numel() != blocks_of(outputs, block) * size)
    return false;
  const Tensor expected = at::empty({size}, at::kHalf);
  for (int64_t first = 0; first < outputs; first += block) {
    arrange(stored.narrow(0, first, std::min(block, outputs - first)), block, in_block, expected);
    const Tensor actual = packed.narrow(0, first / block * size, size).to(at::kHalf);
    if (std::memcmp(actual.const_data_ptr(), expected.const_data_ptr(), actual.nbytes()) != 0)
      return false;
  }
  return true;
}

/// How oneDNN arranges these weights.
std::optional<WeightOrder> find_order(const Tensor& stored, const ConvShape& shape) {
  const auto describe = find_operator("mkldnn::_get_mkldnn_serialized_md"),
             address = find_operator("mkldnn::data_ptr"), bytes = find_operator("mkldnn::_nbytes");
  if (!describe || !address || !bytes) return std::nullopt;
  const Tensor opaque =
      pack_weight(stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/false, nhwc), shape);
  if (!opaque.defined()) return std::nullopt;
  const int64_t size = call(*bytes, {opaque}).toInt() / static_cast<int64_t>(sizeof(float));
  const Tensor packed =
      at::from_blob(reinterpret_cast<void*>(call(*address, {opaque}).toInt()), {size}, at::kFloat);
  const int64_t inputs = stored.size(1);
  for (const int64_t block : {64, 48, 32, 24, 16, 8})
    for (const int64_t in_block : {inputs, block, int64_t{16}, int64_t{8}, int64_t{1}})
      if (is_in_order(packed, stored, block, in_block))
        return WeightOrder{block, in_block, call(*describe, {opaque}).toTensor().contiguous()};
  return std::nullopt;
}

/// A tensor of oneDNN's on memory that is not its own.
Tensor view_in_order(float* data, const std::vector<int64_t>& sizes, const Tensor& description) {
  const std::vector<int64_t> strides(sizes.size(), 1);  // have no meaning here
  AtenTensorHandle handle = nullptr;
  const auto error = aoti_torch_create_tensor_from_blob_v2(
      data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0,
      aoti_torch_dtype_float32(), aoti_torch_device_type_cpu(), 0, &handle,
      aoti_torch_layout__mkldnn(), description.const_data_ptr<uint8_t>(), description.numel());
  TORCH_CHECK(error == 0, "[CompactWeights] no view of oneDNN's weights");
  Tensor view = *reinterpret_cast<Tensor*>(handle);  // that is what such a handle is
  aoti_torch_delete_tensor_object(handle);
  return view;
}

}  // namespace

CompactWeights::CompactWeights(const Tensor& stored, const Tensor& factors,
                               const WeightOrder& order, const ConvShape& shape, Storage storage)
    : description_(order.description), sizes_(stored.sizes().vec()), shape_(shape) {
  const int64_t outputs = stored.size(0), blocks = blocks_of(outputs, order.block);
  values_ = tensor_in_huge_pages(blocks * order.block * stored[0].numel(), at::kHalf)
                .view({blocks, -1, order.block});
  arrange(stored, order.block, order.in_block, values_);
  factors_ = at::zeros({blocks, 1, order.block}, at::kFloat);
  factors_.view({-1}).narrow(0, 0, outputs).copy_(factors);
  group_rows_ = values_.size(1);
  if (storage == Storage::float16) return;

  constexpr int64_t group = 64, steps = 127;
  const Tensor row_factors = std::exchange(factors_, {});  // [blocks, 1, block]
  group_rows_ = std::min(group, group_rows_);
  const int64_t rows = values_.size(1), groups = (rows + group_rows_ - 1) / group_rows_;
  const Tensor quantized = tensor_in_huge_pages(values_.numel(), at::kChar).view(values_.sizes());
  factors_ = at::empty({blocks, groups, order.block}, at::kFloat);
  for (int64_t b = 0; b < blocks; ++b) {
    const Tensor grouped =
        at::constant_pad_nd(values_[b].to(at::kFloat), {0, 0, 0, groups * group_rows_ - rows})
            .view({groups, group_rows_, order.block});
    const Tensor step = grouped.abs().amax(1, /*keepdim=*/true).div(steps);
    const Tensor whole = grouped.div(step.clamp_min(1e-30)).round().clamp(-steps, steps);
    quantized[b].copy_(whole.view({-1, order.block}).narrow(0, 0, rows));
    factors_[b].copy_(step.squeeze(1) * row_factors[b]);
  }
  values_ = quantized;
}

int64_t CompactWeights::size() const { return (values_.numel() + 15) / 16 * 16; }

void CompactWeights::expand(float* to) const {
  const int64_t rows = values_.size(1), groups = factors_.size(1), block = values_.size(2);
  const auto& kernels = inference_kernels::best();
  const auto* factors = factors_.const_data_ptr<float>();
  // A thread takes some groups, of all blocks one after the other.
  const int64_t grain = std::max<int64_t>(16384 / (group_rows_ * block), 1);
  // Of float16 there is one large group in each block: it is cut for the threads.
  const int64_t part = std::min(group_rows_, std::max<int64_t>(16384 / block, 1));
  const int64_t parts = (group_rows_ + part - 1) / part;
  parallel_for(0, values_.size(0) * groups * parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / (groups * parts), g = i / parts % groups, p = i % parts;
      const int64_t first = g * group_rows_ + p * part,
                    last = std::min(first + part, std::min((g + 1) * group_rows_, rows));
      if (first >= last) continue;
      const int64_t place = (b * rows + first) * block;
      const float* const factor = factors + (b * groups + g) * block;
      if (values_.scalar_type() == at::kHalf)
        kernels.expand_half(halves(values_) + place, last - first, block, factor, to + place);
      else
        kernels.expand_int8(values_.const_data_ptr<int8_t>() + place, last - first, block, factor,
                            to + place);
    }
  });
}

FusedConv CompactWeights::reading(float* expanded) const {
  return FusedConv::of_packed(view_in_order(expanded, sizes_, description_), shape_);
}

std::optional<CompactWeights> WeightPacker::pack(const Tensor& stored, const Tensor& factors,
                                                 const ConvShape& shape,
                                                 CompactWeights::Storage storage) {
  const std::array<int64_t, 5> key = {stored.size(0), stored.size(1), stored.size(2),
                                      stored.size(3), shape.input_size};
  std::optional<std::optional<WeightOrder>> known;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = orders_.find(key); found != orders_.end()) known = found->second;
  }
  if (!known) {
    known = find_order(stored, shape);
    const std::lock_guard lock(mutex_);
    orders_[key] = *known;
  }
  if (!*known) return std::nullopt;
  return CompactWeights(stored, factors, **known, shape, storage);
}

}  // namespace edm2
