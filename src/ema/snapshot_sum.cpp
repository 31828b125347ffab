#include "ema/snapshot_sum.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <mutex>

#include "core/ordered_workers.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/state_report.h"
#include "ema/number_conversion.h"

namespace edm2 {
namespace {

using weighted_sum::Kernels;

// One block of all files and of all sums. Memory is kept from block to block.
struct WorkBlock {
  const ElementBlock* block = nullptr;
  std::vector<BlockData> files;
  std::vector<std::vector<std::byte>> sums;
  std::vector<size_t> offsets;  // of the block's parts in each of `sums`
};

// How many elements a block may have.
int64_t block_size(std::span<const OpenSnapshot> snapshots, const SumPlan& plan,
                   const SumLimits& limits, size_t slots) {
  const auto largest = [](const auto& types) {
    size_t bytes = 1;
    for (const auto type : types) bytes = std::max(bytes, c10::elementSize(type));
    return bytes;
  };
  uint64_t in = 0;
  for (const OpenSnapshot& snapshot : snapshots) {
    std::vector<c10::ScalarType> types;
    for (const StoredTensor& tensor : snapshot.index.tensors) types.push_back(tensor.dtype);
    in += largest(types);
  }
  const uint64_t out = plan.coefficients.size() * largest(plan.types);
  const uint64_t size = std::min(limits.input_bytes / (slots * in),
                                 limits.output_bytes / (slots * std::max<uint64_t>(out, 1)));
  constexpr uint64_t fewest = 1024, most = 64 << 10;
  return static_cast<int64_t>(std::clamp(size, fewest, most));
}

class BlockSummer {
 public:
  BlockSummer(std::span<const OpenSnapshot> snapshots, const SumPlan& plan)
      : snapshots_(snapshots), plan_(plan), kernels_(weighted_sum::kernels_for(cpu_level())) {
    // Numbers under way of one thread stay in its caches.
    constexpr size_t cache = 80 << 10;
    tile_ = std::clamp<size_t>(cache / sizeof(float) / (plan.coefficients.size() + together), 64,
                               2048) /
            64 * 64;
    for (const auto& row : plan.coefficients)
      weights_.emplace_back(row.begin(), row.end());  // as float
    for (size_t t = 0; t < plan.types.size(); ++t)
      all_half_.push_back(std::all_of(
          snapshots.begin(), snapshots.end(),
          [&](const auto& snapshot) { return snapshot.index.tensors[t].dtype == c10::kHalf; }));
  }

  void sum(WorkBlock& work) const {
    lay_out(work);
    std::vector<float> scratch(tile_ * (plan_.coefficients.size() + together));
    for (size_t part = 0; part < work.block->size(); ++part) {
      const TensorSpan& span = (*work.block)[part];
      if (tensor(0, span).is_buffer) {
        copy_buffer(work, part);
        continue;
      }
      for (int64_t at = 0; at < span.count; at += static_cast<int64_t>(tile_))
        sum_tile(work, part, at, std::min(static_cast<int64_t>(tile_), span.count - at), scratch);
    }
  }

 private:
  const StoredTensor& tensor(size_t snapshot, const TensorSpan& span) const {
    return snapshots_[snapshot].index.tensors[span.tensor];
  }
  c10::ScalarType result_type(const TensorSpan& span) const { return plan_.types[span.tensor]; }

  void lay_out(WorkBlock& work) const {
    work.offsets.clear();
    size_t total = 0;
    for (const TensorSpan& span : *work.block) {
      work.offsets.push_back(total);
      total += static_cast<size_t>(span.count) * c10::elementSize(result_type(span));
    }
    work.sums.resize(plan_.coefficients.size());
    for (auto& sum : work.sums)
      if (sum.size() < total) sum.resize(total);
  }

  std::byte* place(WorkBlock& work, size_t output, size_t part, int64_t at) const {
    const size_t size = c10::elementSize(result_type((*work.block)[part]));
    return work.sums[output].data() + work.offsets[part] + static_cast<size_t>(at) * size;
  }

  void sum_tile(WorkBlock& work, size_t part, int64_t at, int64_t count,
                std::vector<float>& scratch) const {
    const TensorSpan& span = (*work.block)[part];
    const auto n = static_cast<size_t>(count), outputs = plan_.coefficients.size();
    float* numbers = scratch.data();  // of some snapshots, then the sums
    const auto sum = [&](size_t j) { return numbers + tile_ * (together + j); };
    std::fill(sum(0), sum(outputs), 0.f);
    const auto stored = [&](size_t i) {
      return work.files[i].part(part) +
             static_cast<size_t>(at) * c10::elementSize(tensor(i, span).dtype);
    };
    if (adds_directly(span)) {
      for (size_t i = 0; i < snapshots_.size(); ++i)
        for (size_t j = 0; j < outputs; ++j)
          kernels_.add_scaled_half(stored(i), weights_[j][i], sum(j), n);
    } else {
      for (size_t first = 0; first < snapshots_.size(); first += together) {
        const size_t terms = std::min(together, snapshots_.size() - first);
        for (size_t k = 0; k < terms; ++k)
          weighted_sum::to_float(kernels_, tensor(first + k, span).dtype, stored(first + k),
                                 numbers + k * tile_, n);
        for (size_t j = 0; j < outputs; ++j)
          kernels_.add_scaled(numbers, tile_, weights_[j].data() + first, terms, sum(j), n);
      }
    }
    for (size_t j = 0; j < outputs; ++j) {
      std::byte* const result = place(work, j, part, at);
      weighted_sum::from_float(kernels_, result_type(span), sum(j), result, n);
      // A number that is not finite spoils all sums, so one tells.
      if (plan_.finite_only && j == 0)
        require_finite({result, n * c10::elementSize(result_type(span))}, result_type(span),
                       tensor(0, span).name);
    }
  }

  // With few sums it takes longer to store the numbers as float than to convert them again.
  bool adds_directly(const TensorSpan& span) const {
    constexpr size_t few = 2;
    return plan_.coefficients.size() <= few && all_half_[span.tensor];
  }

  // From the last snapshot, as the original does it.
  void copy_buffer(WorkBlock& work, size_t part) const {
    const TensorSpan& span = (*work.block)[part];
    const c10::ScalarType dtype = tensor(snapshots_.size() - 1, span).dtype;
    for (size_t j = 0; j < plan_.coefficients.size(); ++j)
      weighted_sum::convert(kernels_, dtype, work.files.back().part(part), result_type(span),
                            place(work, j, part, 0), static_cast<size_t>(span.count));
  }

  std::span<const OpenSnapshot> snapshots_;
  const SumPlan& plan_;
  Kernels kernels_;
  static constexpr size_t together = 8;      // snapshots that are added in one pass over the sums
  size_t tile_;                              // elements
  std::vector<bool> all_half_;               // tensors
  std::vector<std::vector<float>> weights_;  // [output][snapshot]
};

// The memory of the blocks under way.
class BlockPool {
 public:
  explicit BlockPool(size_t size) : blocks_(size) {
    for (WorkBlock& block : blocks_) free_.push_back(&block);
  }
  WorkBlock* take() {
    const std::lock_guard lock(mutex_);
    TORCH_CHECK(!free_.empty(), "more blocks under way than planned");
    WorkBlock* const block = free_.back();
    free_.pop_back();
    return block;
  }
  void give_back(WorkBlock* block) {
    const std::lock_guard lock(mutex_);
    free_.push_back(block);
  }

 private:
  std::mutex mutex_;
  std::vector<WorkBlock> blocks_;
  std::vector<WorkBlock*> free_;
};

void hand_over(const WorkBlock& work, const SumPlan& plan, SumReceiver& receiver) {
  for (size_t j = 0; j < work.sums.size(); ++j) {
    for (size_t part = 0; part < work.block->size(); ++part) {
      const TensorSpan& span = (*work.block)[part];
      const size_t bytes =
          static_cast<size_t>(span.count) * c10::elementSize(plan.types[span.tensor]);
      receiver.receive(j, span.tensor, std::span(work.sums[j]).subspan(work.offsets[part], bytes));
    }
  }
}

}  // namespace

void require_finite(std::span<const std::byte> elements, c10::ScalarType type,
                    const std::string& tensor) {
  if (all_finite(elements, type)) return;
  throw Error(
      "values in " + printable_name(tensor) +
      " are not finite (NaN or infinity) in one of the snapshots or in their sum; leave out "
      "what is damaged ('edm2 info FILE' tells where such values are)");
}

void sum_snapshots(std::span<const OpenSnapshot> snapshots, const SumPlan& plan,
                   SumReceiver& receiver, const std::function<void(double)>& on_progress,
                   const SumLimits& limits) {
  // Each thread reads a block of all files and sums it, while others wait for the disk or compute,
  // and the calling thread writes.
  const int waiting = snapshots.front().map ? 0 : 2;
  const int threads = at::get_num_threads() + waiting;
  const int64_t window = threads + 1;
  const auto under_way = static_cast<size_t>(window + 1);  // one more is being written
  const std::vector<ElementBlock> blocks = make_blocks(
      snapshots.front().index.tensors, plan.order, block_size(snapshots, plan, limits, under_way));
  const BlockSummer summer(snapshots, plan);
  BlockPool pool(under_way);
  OrderedWorkers<WorkBlock*> workers(
      threads, window, static_cast<int64_t>(blocks.size()), [&](int64_t number) {
        WorkBlock* const work = pool.take();
        work->block = &blocks[static_cast<size_t>(number)];
        work->files.resize(snapshots.size());
        for (size_t i = 0; i < snapshots.size(); ++i)
          work->files[i].read(snapshots[i], *work->block, i + 1 == snapshots.size());
        summer.sum(*work);
        return work;
      });
  for (size_t done = 0; done < blocks.size(); ++done) {
    check_interrupt();
    WorkBlock* const work = workers.next();
    hand_over(*work, plan, receiver);
    pool.give_back(work);
    if (on_progress)
      on_progress(static_cast<double>(done + 1) / static_cast<double>(blocks.size()));
  }
}

}  // namespace edm2
