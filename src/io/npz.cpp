#include "edm2/io/npz.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "edm2/core/error.h"
#include "io/foreign_content.h"
#include "io/numpy_types.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t max_header = size_t{1} << 20;
constexpr size_t max_axes = 64;

struct Header {
  std::string type;  // "<f4", "|u1", "<U39", ...
  bool fortran_order = false;
  std::vector<int64_t> shape;
  size_t data_offset = 0;
};

/// The header is a Python dict literal of a string, a bool and a tuple of integers: this reads just
/// that and evaluates nothing.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    Header header;
    bool has_type = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !has_type) {
        header.type = quoted();
        has_type = true;
      } else if (key == "fortran_order" && !has_order) {
        header.fortran_order = boolean();
        has_order = true;
      } else if (key == "shape" && !has_shape) {
        header.shape = tuple();
        has_shape = true;
      } else {
        fail();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (!text_.empty() || !has_type || !has_order || !has_shape) fail();
    return header;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(
        name_ +
        " has an .npy header that this program cannot read (only plain arrays are supported)");
  }
  void skip_blanks() {
    const size_t blanks = text_.find_first_not_of(" \t\r\n");
    text_.remove_prefix(std::min(blanks, text_.size()));
  }
  bool accept(char wanted) {
    skip_blanks();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail();
  }
  bool accept_word(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  std::string quoted() {
    skip_blanks();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) fail();
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) fail();
    std::string value(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    fail();
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      int64_t value = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0 || values.size() == max_axes) fail();
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      accept_word("L");  // Python 2 wrote long integers so
      values.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::string_view text_;
  const std::string& name_;
};

Header read_header(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(magic))
    throw Error(name + " is not an .npy file" +
                in_brackets(bytes.empty() ? "empty" : describe_content(bytes)));
  if (text.size() < 12) throw Error(name + " is truncated");
  const auto byte_at = [&](size_t i) {
    return static_cast<size_t>(static_cast<unsigned char>(text[i]));
  };
  const size_t version = byte_at(6);
  if (version < 1 || version > 3)
    throw Error(name + " has .npy version " + std::to_string(version) + ", which is unknown");
  size_t length = byte_at(8) | byte_at(9) << 8;
  if (version >= 2) length |= byte_at(10) << 16 | byte_at(11) << 24;
  const size_t start = version == 1 ? 10 : 12;
  if (length > max_header || length > text.size() - start) throw Error(name + " is truncated");
  Header header = HeaderParser(text.substr(start, length), name).parse();
  header.data_offset = start + length;
  return header;
}

/// Elements in the shape, after comparing them with the bytes that are there.
int64_t checked_count(const Header& header, size_t item_size, size_t available,
                      const std::string& name) {
  const bool empty = std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end();
  const uint64_t limit = empty ? uint64_t{1} << 60 : available;
  uint64_t count = 1;
  for (const int64_t size : header.shape) {
    if (size == 0) continue;
    if (count > limit / static_cast<uint64_t>(size)) throw Error(name + " is truncated");
    count *= static_cast<uint64_t>(size);
  }
  if (empty) return 0;
  if (item_size != 0 && count > available / item_size) throw Error(name + " is truncated");
  return static_cast<int64_t>(count);
}

const NumpyType& find_type(const std::string& descr, const std::string& name) {
  const bool known_order = descr.size() == 3 && (descr[0] == '<' || descr[0] == '=' ||
                                                 descr[0] == '|' || descr[2] == '1');
  if (known_order)
    for (const NumpyType& type : numpy_types)
      if (type.code == std::string_view(descr).substr(1)) return type;
  throw Error(name + " has the element type '" + descr + "', which is not supported");
}

Tensor widen_unsigned(const Tensor& values, const std::string& name) {
  if (values.scalar_type() == at::kShort) return values.to(at::kInt).bitwise_and(0xffff);
  if (values.scalar_type() == at::kInt)
    return values.to(at::kLong).bitwise_and(int64_t{0xffffffff});
  if (values.numel() > 0 && values.lt(0).any().item<bool>())
    throw Error(name + " holds unsigned integers of 2^63 and more");
  return values;
}

std::string type_code(at::ScalarType type) {
  if (const auto code = numpy_code(type))
    return (code->back() == '1' ? "|" : "<") + std::string(*code);
  throw Error(std::string("tensors of type ") + c10::toString(type) + " cannot be written as .npy");
}

/// Everything of an .npy file that stands before the elements.
std::string npy_header(at::ScalarType type, at::IntArrayRef shape) {
  std::string dict = "{'descr': '" + type_code(type) + "', 'fortran_order': False, 'shape': (";
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) dict += ", ";
    dict += std::to_string(shape[axis]);
  }
  dict += shape.size() == 1 ? ",), }" : "), }";
  dict.append(63 - (magic.size() + 4 + dict.size()) % 64, ' ');
  dict += '\n';

  std::string bytes(magic);
  bytes += {1, 0, static_cast<char>(dict.size() & 0xff), static_cast<char>(dict.size() >> 8)};
  return bytes + dict;
}

class NpzStream : public ArrayStream {
 public:
  NpzStream(const std::filesystem::path& path, const std::vector<ArraySpec>& arrays)
      : ArrayStream(arrays), zip_(path) {
    for (const ArraySpec& array : arrays) {
      const std::string header = npy_header(array.type, array.shape);
      const size_t entry = zip_.reserve(array.name + ".npy", header.size() + array.bytes());
      zip_.fill(entry, std::as_bytes(std::span(header)));
    }
  }

 private:
  void put(size_t array, uint64_t, std::span<const std::byte> bytes) override {
    zip_.fill(array, bytes);
  }
  void close() override { zip_.finish(); }

  ZipWriter zip_;
};

}  // namespace

Tensor read_npy(std::span<const std::byte> bytes, const std::string& name) {
  const Header header = read_header(bytes, name);
  const NumpyType& type = find_type(header.type, name);
  const auto data = bytes.subspan(header.data_offset);
  const size_t item_size = c10::elementSize(type.stored);
  const int64_t count = checked_count(header, item_size, data.size(), name);

  std::vector<int64_t> shape = header.shape;
  if (header.fortran_order) std::reverse(shape.begin(), shape.end());
  Tensor values = at::empty(shape, type.stored);
  if (type.stored == at::kBool) {  // any byte but 0 is true; a bool must hold 0 or 1
    auto* out = static_cast<uint8_t*>(values.data_ptr());
    for (int64_t i = 0; i < count; ++i) out[i] = data[static_cast<size_t>(i)] != std::byte{0};
  } else if (count > 0) {
    std::memcpy(values.data_ptr(), data.data(), static_cast<size_t>(count) * item_size);
  }
  if (type.is_unsigned) values = widen_unsigned(values, name);
  if (header.fortran_order)
    values = values.permute([&] {
      std::vector<int64_t> axes(shape.size());
      for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(axes.size() - 1 - i);
      return axes;
    }());
  return values.contiguous();
}

NpyOutline outline_npy(std::span<const std::byte> beginning, const std::string& name) {
  Header header = read_header(beginning, name);
  const NumpyType& type = find_type(header.type, name);
  c10::ScalarType widened = type.stored;
  if (type.is_unsigned) widened = type.stored == at::kShort ? at::kInt : at::kLong;
  return {widened, std::move(header.shape)};
}

std::vector<std::string> read_npy_strings(std::span<const std::byte> bytes,
                                          const std::string& name) {
  const Header header = read_header(bytes, name);
  size_t length = 0;
  const std::string_view type = header.type;
  const bool is_text = type.size() >= 3 && type.starts_with("<U") &&
                       std::from_chars(type.data() + 2, type.data() + type.size(), length).ptr ==
                           type.data() + type.size();
  if (!is_text || length > max_header || (header.fortran_order && header.shape.size() > 1))
    throw Error(name + " has the element type '" + header.type + "', not a plain array of strings");
  const auto data = bytes.subspan(header.data_offset);
  const int64_t count = checked_count(header, 4 * length, data.size(), name);

  std::vector<std::string> strings(static_cast<size_t>(count));
  for (size_t i = 0; i < strings.size(); ++i) {
    for (size_t j = 0; j < length; ++j) {
      uint32_t code = 0;
      std::memcpy(&code, data.data() + 4 * (i * length + j), 4);
      if (code == 0) break;  // shorter strings are filled up with zeros
      append_utf8(strings[i], code);
    }
  }
  return strings;
}

std::string npy_bytes(const Tensor& tensor) {
  const Tensor values = tensor.detach().cpu().contiguous();
  std::string bytes = npy_header(values.scalar_type(), values.sizes());
  bytes.append(static_cast<const char*>(values.data_ptr()), values.nbytes());
  return bytes;
}

std::string NpzFile::label(const std::string& name) const {
  return "'" + name + "' in '" + zip_.path().string() + "'";
}

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const std::string& name : zip_.names())
    if (name.ends_with(".npy")) names.push_back(name.substr(0, name.size() - 4));
  return names;
}

Tensor NpzFile::get(const std::string& name) const {
  return read_npy(zip_.read(name + ".npy"), label(name));
}

std::vector<std::string> NpzFile::get_strings(const std::string& name) const {
  return read_npy_strings(zip_.read(name + ".npy"), label(name));
}

void write_npz(const std::filesystem::path& path,
               const std::vector<std::pair<std::string, Tensor>>& arrays) {
  ZipWriter zip(path);
  for (const auto& [name, tensor] : arrays) zip.add(name + ".npy", npy_bytes(tensor));
  zip.finish();
}

std::unique_ptr<ArrayStream> stream_npz(const std::filesystem::path& path,
                                        const std::vector<ArraySpec>& arrays) {
  return std::make_unique<NpzStream>(path, arrays);
}

}  // namespace edm2
