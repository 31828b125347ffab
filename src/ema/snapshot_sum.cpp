#include "ema/snapshot_sum.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "core/parallel.h"
#include "edm2/core/platform.h"
#include "ema/hand_over.h"
#include "ema/number_conversion.h"

namespace edm2 {
namespace {

using weighted_sum::Kernels;

// One block as all files hold it.
struct InputBlock {
  const ElementBlock* block = nullptr;
  std::vector<BlockData> files;
};

// One block of all sums.
struct OutputBlock {
  const ElementBlock* block = nullptr;
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
  constexpr uint64_t fewest = 1024, most = 4 << 20;
  return static_cast<int64_t>(std::clamp(size, fewest, most));
}

class BlockSummer {
 public:
  BlockSummer(std::span<const OpenSnapshot> snapshots, const SumPlan& plan)
      : snapshots_(snapshots), plan_(plan), kernels_(weighted_sum::kernels_for(cpu_level())) {
    // Numbers under way of one thread stay in its first cache.
    constexpr size_t cache = 24 << 10;
    tile_ = static_cast<int64_t>(
        std::clamp<size_t>(cache / sizeof(float) / (plan.coefficients.size() + 1), 64, 2048) / 64 *
        64);
  }

  void sum(const InputBlock& in, OutputBlock& out) const {
    const ElementBlock& block = *in.block;
    lay_out(block, out);
    // Pieces of work of similar size, whatever the sizes of the tensors.
    constexpr int64_t piece = 32 << 10;
    std::vector<std::pair<size_t, int64_t>> work;
    for (size_t part = 0; part < block.size(); ++part)
      for (int64_t begin = 0; begin < block[part].count; begin += piece)
        work.emplace_back(part, begin);
    parallel_for(0, static_cast<int64_t>(work.size()), 1, [&](int64_t from, int64_t to) {
      std::vector<float> scratch(static_cast<size_t>(tile_) * (plan_.coefficients.size() + 1));
      for (int64_t k = from; k < to; ++k) {
        const auto [part, begin] = work[static_cast<size_t>(k)];
        const int64_t end = std::min(begin + piece, block[part].count);
        if (tensor(0, block[part]).is_buffer)
          copy_buffer(in, out, part, begin, end);
        else
          for (int64_t at = begin; at < end; at += tile_)
            sum_tile(in, out, part, at, std::min(tile_, end - at), scratch);
      }
    });
  }

 private:
  const StoredTensor& tensor(size_t snapshot, const TensorSpan& span) const {
    return snapshots_[snapshot].index.tensors[span.tensor];
  }
  c10::ScalarType result_type(const TensorSpan& span) const { return plan_.types[span.tensor]; }

  void lay_out(const ElementBlock& block, OutputBlock& out) const {
    out.block = &block;
    out.offsets.clear();
    size_t total = 0;
    for (const TensorSpan& span : block) {
      out.offsets.push_back(total);
      total += static_cast<size_t>(span.count) * c10::elementSize(result_type(span));
    }
    out.sums.resize(plan_.coefficients.size());
    for (auto& sum : out.sums)
      if (sum.size() < total) sum.resize(total);
  }

  std::byte* place(OutputBlock& out, size_t output, size_t part, int64_t at) const {
    const size_t size = c10::elementSize(result_type((*out.block)[part]));
    return out.sums[output].data() + out.offsets[part] + static_cast<size_t>(at) * size;
  }

  void sum_tile(const InputBlock& in, OutputBlock& out, size_t part, int64_t at, int64_t count,
                std::vector<float>& scratch) const {
    const TensorSpan& span = (*in.block)[part];
    const auto n = static_cast<size_t>(count), outputs = plan_.coefficients.size();
    float* numbers = scratch.data();
    const auto sum = [&](size_t j) { return numbers + static_cast<size_t>(tile_) * (j + 1); };
    std::fill(sum(0), sum(outputs), 0.f);
    for (size_t i = 0; i < snapshots_.size(); ++i) {
      const c10::ScalarType dtype = tensor(i, span).dtype;
      const std::byte* stored =
          in.files[i].part(part) + static_cast<size_t>(at) * c10::elementSize(dtype);
      weighted_sum::to_float(kernels_, dtype, stored, numbers, n);
      for (size_t j = 0; j < outputs; ++j)
        kernels_.add_scaled(numbers, static_cast<float>(plan_.coefficients[j][i]), sum(j), n);
    }
    for (size_t j = 0; j < outputs; ++j)
      weighted_sum::from_float(kernels_, result_type(span), sum(j), place(out, j, part, at), n);
  }

  // From the last snapshot, as the original does it.
  void copy_buffer(const InputBlock& in, OutputBlock& out, size_t part, int64_t begin,
                   int64_t end) const {
    const TensorSpan& span = (*in.block)[part];
    const c10::ScalarType dtype = tensor(snapshots_.size() - 1, span).dtype;
    const std::byte* stored =
        in.files.back().part(part) + static_cast<size_t>(begin) * c10::elementSize(dtype);
    const auto n = static_cast<size_t>(end - begin);
    for (size_t j = 0; j < plan_.coefficients.size(); ++j)
      weighted_sum::convert(kernels_, dtype, stored, result_type(span), place(out, j, part, begin),
                            n);
  }

  std::span<const OpenSnapshot> snapshots_;
  const SumPlan& plan_;
  Kernels kernels_;
  int64_t tile_;
};

// Reader -> sums (the caller's thread and its helpers) -> receiver, each a block ahead of the next.
class Pipeline {
 public:
  static constexpr size_t slots = 2;

  Pipeline(std::span<const OpenSnapshot> snapshots, const SumPlan& plan, SumReceiver& receiver,
           const SumLimits& limits)
      : snapshots_(snapshots),
        plan_(plan),
        receiver_(receiver),
        blocks_(make_blocks(snapshots.front().index.tensors, plan.order,
                            block_size(snapshots, plan, limits, slots))) {
    for (size_t i = 0; i < slots; ++i) {
      inputs_[i].files.resize(snapshots.size());
      free_inputs_.put(&inputs_[i]);
      free_outputs_.put(&outputs_[i]);
    }
  }

  ~Pipeline() {
    stop();
    if (reader_.joinable()) reader_.join();
    if (writer_.joinable()) writer_.join();
  }

  void run(const std::function<void(double)>& on_progress) {
    reader_ = std::thread([this] { guard(reader_error_, [this] { read_all(); }); });
    writer_ = std::thread([this] { guard(writer_error_, [this] { write_all(); }); });
    const BlockSummer summer(snapshots_, plan_);
    for (size_t done = 0; done < blocks_.size(); ++done) {
      check_interrupt();
      const auto in = full_inputs_.take();
      const auto out = in ? free_outputs_.take() : std::nullopt;
      if (!out) break;  // a thread has failed
      summer.sum(**in, **out);
      free_inputs_.put(*in);
      full_outputs_.put(*out);
      if (on_progress)
        on_progress(static_cast<double>(done + 1) / static_cast<double>(blocks_.size()));
    }
    full_outputs_.close();
    writer_.join();
    stop();
    reader_.join();
    for (const auto& error : {reader_error_, writer_error_})
      if (error) std::rethrow_exception(error);
  }

 private:
  void read_all() {
    for (const ElementBlock& block : blocks_) {
      const auto in = free_inputs_.take();
      if (!in) return;
      (*in)->block = &block;
      for (size_t i = 0; i < snapshots_.size(); ++i)
        (*in)->files[i].read(snapshots_[i], block, i + 1 == snapshots_.size());
      if (!full_inputs_.put(*in)) return;
    }
  }

  void write_all() {
    while (const auto out = full_outputs_.take()) {
      const OutputBlock& block = **out;
      for (size_t j = 0; j < block.sums.size(); ++j) {
        for (size_t part = 0; part < block.block->size(); ++part) {
          const TensorSpan& span = (*block.block)[part];
          const size_t bytes =
              static_cast<size_t>(span.count) * c10::elementSize(plan_.types[span.tensor]);
          receiver_.receive(j, span.tensor,
                            std::span(block.sums[j]).subspan(block.offsets[part], bytes));
        }
      }
      free_outputs_.put(*out);
    }
  }

  // What a thread throws ends all of them.
  template <class Work>
  void guard(std::exception_ptr& error, Work work) {
    try {
      work();
    } catch (...) {
      error = std::current_exception();
      stop();
    }
  }

  void stop() {
    free_inputs_.abort();
    full_inputs_.abort();
    free_outputs_.abort();
    full_outputs_.abort();
  }

  std::span<const OpenSnapshot> snapshots_;
  const SumPlan& plan_;
  SumReceiver& receiver_;
  std::vector<ElementBlock> blocks_;
  InputBlock inputs_[slots];
  OutputBlock outputs_[slots];
  HandOver<InputBlock*> free_inputs_, full_inputs_;
  HandOver<OutputBlock*> free_outputs_, full_outputs_;
  std::exception_ptr reader_error_, writer_error_;
  std::thread reader_, writer_;
};

}  // namespace

void sum_snapshots(std::span<const OpenSnapshot> snapshots, const SumPlan& plan,
                   SumReceiver& receiver, const std::function<void(double)>& on_progress,
                   const SumLimits& limits) {
  Pipeline(snapshots, plan, receiver, limits).run(on_progress);
}

}  // namespace edm2
