#include "edm2/io/array_stream.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "edm2/core/error.h"

namespace edm2 {

uint64_t ArraySpec::bytes() const {
  uint64_t total = c10::elementSize(type);
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(total, static_cast<uint64_t>(size), &total) ||
        total > uint64_t{1} << 60)
      throw Error("the array '" + name + "' would be too large to be written");
  return total;
}

ArrayStream::ArrayStream(std::vector<ArraySpec> arrays)
    : arrays_(std::move(arrays)), written_(arrays_.size(), 0) {
  if (arrays_.empty()) throw Error("a file of arrays must have at least one array");
  for (const ArraySpec& array : arrays_) array.bytes();
}

void ArrayStream::append(const std::string& array, const Tensor& rows) {
  const auto spec = std::find_if(arrays_.begin(), arrays_.end(),
                                 [&](const ArraySpec& known) { return known.name == array; });
  const bool fits = spec != arrays_.end() && rows.scalar_type() == spec->type && rows.dim() > 0 &&
                    !spec->shape.empty() &&
                    rows.sizes().slice(1) == at::IntArrayRef(spec->shape).slice(1);
  const auto index = static_cast<size_t>(std::distance(arrays_.begin(), spec));
  if (!fits || rows.nbytes() > spec->bytes() - written_[index])
    throw Error("rows do not fit the array '" + array + "' that was announced");
  const Tensor values = rows.detach().cpu().contiguous();
  const std::span bytes(static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes());
  put(index, written_[index], bytes);
  written_[index] += bytes.size();
}

void ArrayStream::finish() {
  for (size_t i = 0; i < arrays_.size(); ++i)
    if (written_[i] != arrays_[i].bytes())
      throw Error("the array '" + arrays_[i].name + "' has not got all of its rows");
  close();
}

}  // namespace edm2
