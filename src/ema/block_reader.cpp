#include "ema/block_reader.h"

#include <algorithm>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

// One read for neighbours in a file: what lies between them (in pickles, descriptions) is small.
constexpr uint64_t largest_gap = 4096;

struct Range {
  uint64_t begin = 0, end = 0;  // in the file
  size_t part = 0, memory = 0;  // position in the block, place in memory
};

const std::byte* mapped_elements(const OpenSnapshot& snapshot, uint64_t begin, uint64_t size) {
  const auto bytes = snapshot.map->bytes();
  if (bytes.size() < size || begin > bytes.size() - size)
    throw Error("cannot read " + snapshot.file.path().string() + ": it became shorter meanwhile");
  return bytes.data() + begin;
}

}  // namespace

std::vector<ElementBlock> make_blocks(const std::vector<StoredTensor>& tensors,
                                      const std::vector<size_t>& order, int64_t max_elements) {
  std::vector<ElementBlock> blocks(1);
  int64_t room = max_elements;
  for (const size_t tensor : order) {
    const int64_t numel = tensors[tensor].numel();
    for (int64_t begin = 0; begin < numel;) {
      if (room == 0) {
        blocks.emplace_back();
        room = max_elements;
      }
      const int64_t count = std::min(room, numel - begin);
      blocks.back().push_back({tensor, begin, count});
      begin += count;
      room -= count;
    }
  }
  return blocks;
}

void BlockData::read(const OpenSnapshot& snapshot, const ElementBlock& block, bool with_buffers) {
  parts_.assign(block.size(), nullptr);
  std::vector<Range> ranges;
  for (size_t i = 0; i < block.size(); ++i) {
    const StoredTensor& tensor = snapshot.index.tensors[block[i].tensor];
    if (tensor.is_buffer && !with_buffers) continue;
    const uint64_t element = c10::elementSize(tensor.dtype);
    const uint64_t skipped = static_cast<uint64_t>(block[i].begin) * element;
    if (tensor.copy.defined()) {
      parts_[i] = static_cast<const std::byte*>(tensor.copy.const_data_ptr()) + skipped;
      continue;
    }
    const uint64_t begin = tensor.offset + skipped;
    const uint64_t size = static_cast<uint64_t>(block[i].count) * element;
    if (snapshot.map)
      parts_[i] = mapped_elements(snapshot, begin, size);
    else
      ranges.push_back({begin, begin + size, i});
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });

  // Groups of neighbours, one behind the other in memory.
  struct Group {
    uint64_t begin = 0, end = 0;
    size_t memory = 0;
  };
  std::vector<Group> groups;
  size_t total = 0;
  for (Range& range : ranges) {
    if (groups.empty() || range.begin > groups.back().end + largest_gap)
      groups.push_back({range.begin, range.end, total});
    Group& group = groups.back();
    group.end = std::max(group.end, range.end);
    range.memory = group.memory + (range.begin - group.begin);
    total = group.memory + (group.end - group.begin);
  }
  if (memory_.size() < total) memory_.resize(total);
  for (const Group& group : groups)
    snapshot.file.read_at(group.begin,
                          std::span(memory_).subspan(group.memory, group.end - group.begin));
  for (const Range& range : ranges) parts_[range.part] = memory_.data() + range.memory;
}

}  // namespace edm2
