#include "nn/file_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "core/parallel.h"

namespace edm2 {
namespace {

constexpr size_t page = 4096;  // or a part of the system's, which then gives back less

/// A part of the file that a thread reads at a time.
struct Piece {
  size_t in_file, in_memory, size;
};

}  // namespace

bool lies_in(const Tensor& tensor, std::span<const std::byte> contents) {
  const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
  const std::less_equal<> not_behind;
  return tensor.nbytes() > 0 && not_behind(contents.data(), data) &&
         not_behind(data + tensor.nbytes(), contents.data() + contents.size());
}

std::optional<FileTensors> FileTensors::leave(StateDict& tensors,
                                              std::span<const std::byte> contents,
                                              RandomAccessFile file) {
  FileTensors result(std::move(file));
  std::vector<std::pair<size_t, size_t>> ranges;  // begin, end
  std::vector<size_t> left;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i].second;
    result.offsets_.push_back(0);
    if (!lies_in(tensor, contents)) continue;
    if (!tensor.is_contiguous()) return std::nullopt;
    const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
    const auto begin = static_cast<size_t>(data - contents.data());
    result.offsets_[i] = begin;
    ranges.emplace_back(begin, begin + tensor.nbytes());
    left.push_back(i);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second) return std::nullopt;
  for (const size_t i : left) {
    Tensor& tensor = tensors[i].second;
    tensor = at::empty(tensor.sizes(), tensor.options().device(at::kMeta));
  }
  return result;
}

Tensor FileTensors::read(size_t index, const Tensor& left) const {
  const Tensor tensor = at::empty(left.sizes(), left.options().device(at::kCPU));
  file_.read_at(offsets_.at(index),
                {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
  return tensor;
}

void FileTensors::read_all(StateDict& tensors) const {
  constexpr size_t piece_size = 4 << 20;
  std::vector<Piece> pieces;
  size_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].second.is_meta()) continue;
    const size_t size = tensors[i].second.nbytes();
    for (size_t done = 0; done < size; done += piece_size)
      pieces.push_back({offsets_.at(i) + done, total + done, std::min(piece_size, size - done)});
    total += (size + page - 1) / page * page;
  }
  const auto memory = std::make_shared<PageMemory>(total, PageMemory::Pages::huge);
  parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      file_.read_at(piece.in_file, {memory->data() + piece.in_memory, piece.size});
    }
  });
  size_t offset = 0;
  for (auto& [name, tensor] : tensors) {
    if (!tensor.is_meta()) continue;
    const size_t size = tensor.nbytes();
    tensor = at::from_blob(
        memory->data() + offset, tensor.sizes(),
        [memory, offset, size](void*) { memory->give_back(offset, size); },
        tensor.options().device(at::kCPU));
    offset += (size + page - 1) / page * page;
  }
}

}  // namespace edm2
