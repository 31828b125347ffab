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
#include "io/foreign_content.h"

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

/// Some old programs have added signed bytes.
bool checksum_fits(const Block& header) {
  constexpr size_t position = 148, size = 8;
  const auto expected = number_of(header, position, size);
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < block_size; ++i) {
    const bool blank = i >= position && i < position + size;
    sum += blank ? ' ' : static_cast<int64_t>(header[i]);
    signed_sum += blank ? ' ' : static_cast<int8_t>(header[i]);
  }
  return expected &&
         (static_cast<int64_t>(*expected) == sum || static_cast<int64_t>(*expected) == signed_sum);
}

/// What a member of this type is, if it is no regular file.
std::string member_type_name(char type) {
  constexpr std::pair<char, const char*> names[] = {{'1', "a hard link"},
                                                    {'2', "a symbolic link"},
                                                    {'3', "a device"},
                                                    {'4', "a device"},
                                                    {'6', "a pipe"},
                                                    {'S', "a sparse file"},
                                                    {'M', "the rest of a file in another volume"},
                                                    {'V', "the archive's own label"}};
  for (const auto& [known, name] : names)
    if (known == type) return name;
  return "of a type that is not known";
}

bool is_empty(const Block& header) {
  return std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// What a pax header says of the entry behind it.
struct PaxHeader {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
  bool sparse = false;
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
    if (key == "path" || key == "GNU.sparse.name") pax.path = std::string(value);
    if (key.starts_with("GNU.sparse.")) pax.sparse = true;
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

std::string member_path(const Block& header, const PaxHeader& pax) {
  std::string path = field_of(header, 0, 100);
  const std::string prefix = field_of(header, 345, 155);
  if (field_of(header, 257, 5) == "ustar" && static_cast<char>(header[262]) == '\0' &&
      !prefix.empty())
    path = prefix + '/' + path;
  if (pax.path) path = *pax.path;
  while (path.starts_with("./")) path.erase(0, 2);
  return path;
}

void add_member(TarDirectory& directory, const Block& header, const PaxHeader& pax,
                uint64_t position, uint64_t size) {
  const char type = static_cast<char>(header[156]);
  const std::string path = member_path(header, pax);
  if (path.empty() || path.ends_with('/') || type == '5' || type == 'D') return;  // folders
  const bool regular = type == '0' || type == '\0' || type == '7';
  if (regular && !pax.sparse)
    directory.entries.push_back({path, position, size});
  else
    directory.left_out.push_back(path + " (" + member_type_name(regular ? 'S' : type) + ")");
}

/// What stands in place of an archive, for a message.
std::string describe_beginning(const ReadAt& read, uint64_t size) {
  std::vector<std::byte> beginning(std::min<uint64_t>(size, content_beginning));
  read(0, beginning);
  return in_brackets(size == 0 ? "empty" : describe_content(beginning));
}

/// GNU's map of a sparse file may go on in blocks of its own, which no size counts. False if they
/// are not all there.
bool skip_sparse_map(const ReadAt& read, const Block& header, uint64_t archive_size,
                     uint64_t& position) {
  for (bool more = header[482] != std::byte{0}; more;) {
    if (archive_size - position < block_size) return false;
    Block map;
    read(position, map);
    position += block_size;
    more = map[504] != std::byte{0};
  }
  return true;
}

/// Something else than zeros in the next block, or in what there is of it.
bool has_more(const ReadAt& read, uint64_t position, uint64_t archive_size) {
  Block rest = {};
  read(position, std::span(rest).first(std::min<uint64_t>(block_size, archive_size - position)));
  return !is_empty(rest);
}

TarDirectory list_entries(const ReadAt& read, uint64_t archive_size, const std::string& name) {
  const auto fail = [&](const std::string& why) {
    throw Error("cannot read '" + name + "' as a tar archive: " + why);
  };
  TarDirectory directory;
  PaxHeader next;  // for the entry to come
  uint64_t position = 0;
  // Many programs leave the two empty blocks at the end out. Behind them another archive may follow
  // ("cat a.tar b.tar").
  bool ended = false;
  while (archive_size - position >= block_size) {
    Block header;
    read(position, header);
    if (is_empty(header)) {
      ended = true;
      position += block_size;
      continue;
    }
    const std::string where = "the header at byte " + std::to_string(position);
    if (ended && !checksum_fits(header)) break;
    if (!checksum_fits(header))
      fail(position == 0 ? "it is none" + describe_beginning(read, archive_size)
                         : where + " is damaged");
    position += block_size;
    const char type = static_cast<char>(header[156]);
    const bool describes_next =
        type == 'L' || type == 'K' || type == 'x' || type == 'X' || type == 'g';
    if (type == 'S' && !skip_sparse_map(read, header, archive_size, position))
      fail("it is truncated");
    auto size = number_of(header, 124, 12);
    if (!describes_next && next.size) size = next.size;
    // Links, devices, folders and pipes have no contents, whatever their size says.
    if (type >= '1' && type <= '6') size = 0;
    if (!size) fail(where + " has no size");
    if (*size > archive_size - position) fail("it is truncated");
    if (describes_next) {
      if (*size > longest_header) fail(where + " is followed by an endless name");
      std::string text(*size, '\0');
      read(position, std::as_writable_bytes(std::span(text)));
      if (type == 'L') next.path = text.substr(0, text.find('\0'));
      if ((type == 'x' || type == 'X') && !parse_pax(text, next)) fail(where + " is damaged");
    } else {
      add_member(directory, header, next, position, *size);
      next = {};
    }
    const uint64_t padded = (*size + block_size - 1) / block_size * block_size;
    if (padded > archive_size - position) fail("it is truncated");
    position += padded;
    ended = false;
  }
  if (archive_size < block_size) fail("it is none" + describe_beginning(read, archive_size));
  if (has_more(read, position, archive_size)) {
    if (!ended) fail("it is truncated");
    directory.has_more_behind_end = true;
  }
  return directory;
}

}  // namespace

bool is_tar(std::span<const std::byte> bytes) {
  Block header = {};
  std::copy_n(bytes.begin(), std::min(bytes.size(), block_size), header.begin());
  return bytes.size() >= block_size && !is_empty(header) && checksum_fits(header);
}

bool is_tar_file(const std::filesystem::path& path) {
  try {
    Block header;
    RandomAccessFile(path).read_at(0, header);
    return is_tar(header);
  } catch (const Error&) {
    return false;
  }
}

TarReader::TarReader(const std::filesystem::path& path) : file_(path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) throw Error("cannot read '" + path.string() + "': " + error.message());
  directory_ = list_entries(
      [&](uint64_t offset, std::span<std::byte> target) { file_.read_at(offset, target); }, size,
      path.string());
}

std::vector<std::byte> TarReader::read(size_t index) const {
  const TarEntry& entry = directory_.entries.at(index);
  std::vector<std::byte> bytes(entry.size);
  file_.read_at(entry.offset, bytes);
  return bytes;
}

std::vector<TarEntry> read_tar_directory(std::span<const std::byte> archive,
                                         const std::string& name) {
  return read_tar_contents(archive, name).entries;
}

TarDirectory read_tar_contents(std::span<const std::byte> archive, const std::string& name) {
  return list_entries(
      [&](uint64_t offset, std::span<std::byte> target) {
        const auto bytes = archive.subspan(offset, target.size());
        std::copy(bytes.begin(), bytes.end(), target.begin());
      },
      archive.size(), name);
}

}  // namespace edm2
