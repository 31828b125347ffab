// The formats: POSIX.1-2017 (pax, "pax Interchange Format" and "ustar Interchange Format") and GNU
// tar ("Basic Tar Format" of its manual).
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>

#include "edm2/core/error.h"
#include "edm2/io/tar.h"

namespace edm2 {
namespace {

constexpr size_t block_size = 512;
constexpr uint64_t longest_header = 1 << 20;  // of a long name or a pax header
using Block = std::array<std::byte, block_size>;

std::string field_of(const Block& header, size_t position, size_t size) {
  const auto* text = reinterpret_cast<const char*>(header.data()) + position;
  return {text, strnlen(text, size)};
}

/// Octal digits, or (GNU) a big-endian binary number whose first bit is set.
std::optional<uint64_t> number_of(const Block& header, size_t position, size_t size) {
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(header[position + i]); };
  uint64_t value = 0;
  if (byte(0) == 0x80) {
    for (size_t i = 1; i < size; ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | byte(i);
    }
    return value;
  }
  const std::string text = field_of(header, position, size);
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return 0;
  const auto [end, error] =
      std::from_chars(text.data() + first, text.data() + text.size(), value, 8);
  const bool clean = std::all_of(end, text.data() + text.size(), [](char c) { return c == ' '; });
  return error == std::errc() && clean ? std::optional(value) : std::nullopt;
}

bool checksum_fits(const Block& header) {
  constexpr size_t position = 148, size = 8;
  const auto expected = number_of(header, position, size);
  uint64_t sum = 0;
  for (size_t i = 0; i < block_size; ++i)
    sum += i >= position && i < position + size ? ' ' : static_cast<uint64_t>(header[i]);
  return expected && *expected == sum;
}

bool is_empty(const Block& header) {
  return std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// What a pax header says of the entry behind it.
struct PaxHeader {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
};

/// Records "LENGTH KEY=VALUE\n". False if they are none.
bool parse_pax(std::string_view text, PaxHeader& pax) {
  while (!text.empty()) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    const auto digits = static_cast<size_t>(end - text.data());
    if (error != std::errc() || length > text.size() || length < digits + 3 ||
        text[digits] != ' ' || text[length - 1] != '\n')
      return false;
    const std::string_view record = text.substr(digits + 1, length - digits - 2);
    text.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") pax.path = std::string(value);
    if (key == "size") {
      uint64_t size = 0;
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), size);
      if (parsed.ec != std::errc()) return false;
      pax.size = size;
    }
  }
  return true;
}

using ReadAt = std::function<void(uint64_t offset, std::span<std::byte> target)>;

std::vector<TarEntry> list_entries(const ReadAt& read, uint64_t archive_size,
                                   const std::string& name) {
  const auto fail = [&](const std::string& why) {
    throw Error("cannot read '" + name + "' as a tar archive: " + why);
  };
  std::vector<TarEntry> entries;
  PaxHeader next;  // for the entry to come
  uint64_t position = 0;
  // Many programs leave the two empty blocks at the end out.
  while (archive_size - position >= block_size) {
    Block header;
    read(position, header);
    if (is_empty(header)) break;
    const std::string where = "the header at byte " + std::to_string(position);
    if (!checksum_fits(header)) fail(position == 0 ? "it is none" : where + " is damaged");
    position += block_size;
    const char type = static_cast<char>(header[156]);
    const bool describes_next = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    auto size = number_of(header, 124, 12);
    if (!describes_next && next.size) size = next.size;
    if (!size) fail(where + " has no size");
    if (*size > archive_size - position) fail("it is truncated");
    if (describes_next) {
      if (*size > longest_header) fail(where + " is followed by an endless name");
      std::string text(*size, '\0');
      read(position, std::as_writable_bytes(std::span(text)));
      if (type == 'L') next.path = text.substr(0, text.find('\0'));
      if (type == 'x' && !parse_pax(text, next)) fail(where + " is damaged");
    } else {
      if (type == '0' || type == '\0' || type == '7') {
        std::string path = field_of(header, 0, 100);
        const std::string prefix = field_of(header, 345, 155);
        if (field_of(header, 257, 5) == "ustar" && static_cast<char>(header[262]) == '\0' &&
            !prefix.empty())
          path = prefix + '/' + path;
        if (next.path) path = *next.path;
        while (path.starts_with("./")) path.erase(0, 2);
        if (!path.empty() && !path.ends_with('/')) entries.push_back({path, position, *size});
      }
      next = {};
    }
    const uint64_t padded = (*size + block_size - 1) / block_size * block_size;
    position = std::min(position + padded, archive_size);  // the last one may lack its padding
  }
  if (entries.empty() && archive_size < block_size) fail("it is none");
  return entries;
}

}  // namespace

bool is_tar_file(const std::filesystem::path& path) {
  try {
    Block header;
    RandomAccessFile(path).read_at(0, header);
    return !is_empty(header) && checksum_fits(header);
  } catch (const Error&) {
    return false;
  }
}

TarReader::TarReader(const std::filesystem::path& path) : file_(path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) throw Error("cannot read '" + path.string() + "': " + error.message());
  entries_ = list_entries(
      [&](uint64_t offset, std::span<std::byte> target) { file_.read_at(offset, target); }, size,
      path.string());
}

std::vector<std::byte> TarReader::read(size_t index) const {
  const TarEntry& entry = entries_.at(index);
  std::vector<std::byte> bytes(entry.size);
  file_.read_at(entry.offset, bytes);
  return bytes;
}

std::vector<TarEntry> read_tar_directory(std::span<const std::byte> archive,
                                         const std::string& name) {
  return list_entries(
      [&](uint64_t offset, std::span<std::byte> target) {
        std::memcpy(target.data(), archive.data() + offset, target.size());
      },
      archive.size(), name);
}

}  // namespace edm2
