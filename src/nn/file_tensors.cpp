#include "nn/file_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "core/parallel.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

constexpr size_t page = 4096;  // or a part of the system's, which then gives back less

/// A tensor's place in the file and in memory.
struct Place {
  Tensor* tensor;
  size_t in_file, in_memory, size;
};

/// A part of the file that a thread reads at a time.
struct Piece {
  size_t in_file, in_memory, size;
};

bool lies_in(const Tensor& tensor, std::span<const std::byte> contents) {
  const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
  const std::less_equal<> not_behind;
  return tensor.nbytes() > 0 && not_behind(contents.data(), data) &&
         not_behind(data + tensor.nbytes(), contents.data() + contents.size());
}

}  // namespace

bool read_out_of_file(StateDict& tensors, std::span<const std::byte> contents,
                      const std::filesystem::path& path) {
  std::vector<Place> places;
  size_t total = 0;
  for (auto& [name, tensor] : tensors) {
    if (!lies_in(tensor, contents)) continue;
    if (!tensor.is_contiguous()) return false;
    const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
    places.push_back(
        {&tensor, static_cast<size_t>(data - contents.data()), total, tensor.nbytes()});
    total += (tensor.nbytes() + page - 1) / page * page;
  }
  const auto by_place = [](const Place& a, const Place& b) { return a.in_file < b.in_file; };
  std::vector<Place> in_order = places;
  std::sort(in_order.begin(), in_order.end(), by_place);
  for (size_t i = 1; i < in_order.size(); ++i)
    if (in_order[i].in_file < in_order[i - 1].in_file + in_order[i - 1].size) return false;

  constexpr size_t piece_size = 4 << 20;
  std::vector<Piece> pieces;
  for (const Place& place : in_order)
    for (size_t done = 0; done < place.size; done += piece_size)
      pieces.push_back(
          {place.in_file + done, place.in_memory + done, std::min(piece_size, place.size - done)});
  const auto memory = std::make_shared<PageMemory>(total, PageMemory::Pages::huge);
  const RandomAccessFile file(path);
  parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      file.read_at(piece.in_file, {memory->data() + piece.in_memory, piece.size});
    }
  });
  for (const Place& place : places)
    *place.tensor = at::from_blob(
        memory->data() + place.in_memory, place.tensor->sizes(),
        [memory, offset = place.in_memory, size = place.size](void*) {
          memory->give_back(offset, size);
        },
        place.tensor->options());
  return true;
}

}  // namespace edm2
