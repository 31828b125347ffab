#include "ema/running_sums.h"

#include <algorithm>

#include "core/parallel.h"
#include "edm2/core/platform.h"
#include "ema/number_conversion.h"

namespace edm2 {
namespace {

constexpr int64_t block_elements = 256 << 10;

std::span<std::byte> bytes_of(std::vector<float>& numbers, size_t count) {
  return std::as_writable_bytes(std::span(numbers).first(count));
}

}  // namespace

RunningSums::RunningSums(const SnapshotIndex& network, SumPlan plan,
                         const std::filesystem::path& folder)
    : tensors_(network.tensors),
      plan_(std::move(plan)),
      file_(folder),
      kernels_(weighted_sum::kernels_for(cpu_level())) {
  for (const StoredTensor& tensor : tensors_) {
    starts_.push_back(total_);
    if (!tensor.is_buffer) total_ += static_cast<uint64_t>(tensor.numel());
  }
}

uint64_t RunningSums::place(size_t output, const TensorSpan& span) const {
  return sizeof(float) *
         (output * total_ + starts_[span.tensor] + static_cast<uint64_t>(span.begin));
}

void RunningSums::add(const OpenSnapshot& snapshot) {
  std::vector<size_t> order;
  for (size_t t = 0; t < tensors_.size(); ++t)
    if (!tensors_[t].is_buffer) order.push_back(t);
  BlockData data;
  std::vector<float> numbers(block_elements);
  for (const ElementBlock& block : make_blocks(tensors_, order, block_elements)) {
    check_interrupt();
    data.read(snapshot, block, /*with_buffers=*/false);
    for (size_t part = 0; part < block.size(); ++part) {
      const TensorSpan& span = block[part];
      const auto count = static_cast<size_t>(span.count);
      weighted_sum::to_float(kernels_, snapshot.index.tensors[span.tensor].dtype, data.part(part),
                             numbers.data(), count);
      parallel_for(0, static_cast<int64_t>(output_count()), 1, [&](int64_t from, int64_t to) {
        std::vector<float> sum(count, 0.f);
        for (auto j = static_cast<size_t>(from); j < static_cast<size_t>(to); ++j) {
          if (added_ == 0)
            std::fill(sum.begin(), sum.end(), 0.f);
          else
            file_.read_at(place(j, span), bytes_of(sum, count));
          const auto weight = static_cast<float>(plan_.coefficients[j][added_]);
          kernels_.add_scaled(numbers.data(), count, &weight, 1, sum.data(), count);
          file_.write_at(place(j, span), bytes_of(sum, count));
        }
      });
    }
  }
  ++added_;
}

void RunningSums::finish(SumReceiver& receiver, const std::vector<size_t>& order,
                         const OpenSnapshot& last) {
  BlockData data;
  std::vector<float> numbers(block_elements);
  std::vector<std::byte> result;
  for (const ElementBlock& block : make_blocks(tensors_, order, block_elements)) {
    check_interrupt();
    data.read(last, block, /*with_buffers=*/true);
    for (size_t part = 0; part < block.size(); ++part) {
      const TensorSpan& span = block[part];
      const auto count = static_cast<size_t>(span.count);
      const c10::ScalarType type = plan_.types[span.tensor];
      result.resize(count * c10::elementSize(type));
      for (size_t j = 0; j < output_count(); ++j) {
        if (tensors_[span.tensor].is_buffer) {
          weighted_sum::convert(kernels_, last.index.tensors[span.tensor].dtype, data.part(part),
                                type, result.data(), count);
        } else {
          file_.read_at(place(j, span), bytes_of(numbers, count));
          weighted_sum::from_float(kernels_, type, numbers.data(), result.data(), count);
          if (plan_.finite_only && j == 0) require_finite(result, type, tensors_[span.tensor].name);
        }
        receiver.receive(j, span.tensor, result);
      }
    }
  }
}

}  // namespace edm2
