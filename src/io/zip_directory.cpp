// The format: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 (records) and 4.5.3 (zip64 extra field).
#include "io/zip_directory.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "edm2/core/error.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace {

constexpr uint32_t max32 = 0xffffffff;
constexpr uint16_t max16 = 0xffff;
constexpr size_t end_size = 22, locator_size = 20, end64_size = 56, record_size = 46;

[[noreturn]] void fail(const RandomAccessFile& file, const std::string& why) {
  throw Error("cannot read '" + file.path().string() + "' as a zip archive: " + why);
}

/// Little-endian.
template <class Integer>
Integer number_at(std::span<const std::byte> bytes, size_t position) {
  Integer value = 0;
  for (size_t i = 0; i < sizeof value; ++i)
    value = static_cast<Integer>(value | static_cast<Integer>(bytes[position + i]) << (8 * i));
  return value;
}

std::vector<std::byte> part_of(const RandomAccessFile& file, uint64_t offset, uint64_t size) {
  std::vector<std::byte> bytes(size);
  file.read_at(offset, bytes);
  return bytes;
}

/// What the file is instead; "" also where it begins as an archive does.
std::string describe_not_zip(const std::filesystem::path& path) {
  const std::string found = describe_file(path);
  return found.ends_with("zip archive") ? "" : found;
}

struct End {
  uint64_t start = 0, size = 0;  // of the directory within the file
  uint64_t in_front = 0;         // bytes before the archive
};

/// The directory ends where the record behind it begins; if the archive says that it begins
/// earlier, something stands in front of all: the program of a self-extracting archive, say.
End with_bytes_in_front(uint64_t claimed_start, uint64_t size, uint64_t directory_end) {
  const uint64_t start = directory_end - size;
  return {start, size, start - claimed_start};
}

/// The record at the end of the file, behind which a comment may stand.
End find_end(const RandomAccessFile& file, uint64_t file_size, std::string& comment) {
  const uint64_t tail_size = std::min<uint64_t>(file_size, end_size + max16);
  const auto tail = part_of(file, file_size - tail_size, tail_size);
  std::optional<size_t> found;
  for (size_t i = tail.size() >= end_size ? tail.size() - end_size + 1 : 0; i-- > 0 && !found;)
    if (number_at<uint32_t>(tail, i) == 0x06054b50 &&
        i + end_size + number_at<uint16_t>(tail, i + 20) <= tail.size())
      found = i;
  if (!found)
    fail(file, "it is none, or its end is missing" + in_brackets(describe_not_zip(file.path())));
  const auto end = std::span(tail).subspan(*found);
  comment.assign(reinterpret_cast<const char*>(end.data()) + end_size,
                 number_at<uint16_t>(end, 20));
  const uint64_t end_position = file_size - tail_size + *found;
  if (number_at<uint16_t>(end, 4) != 0 && number_at<uint16_t>(end, 4) != max16)
    fail(file, "it is one of several parts; join them first");
  const uint64_t start = number_at<uint32_t>(end, 16), size = number_at<uint32_t>(end, 12);
  const bool small = start != max32 && size != max32;
  if (end_position >= locator_size) {
    const auto locator = part_of(file, end_position - locator_size, locator_size);
    if (number_at<uint32_t>(locator, 0) == 0x07064b50) {
      const auto claimed = number_at<uint64_t>(locator, 8);
      if (claimed > end_position || end_position - claimed < locator_size + end64_size)
        fail(file, "its end is damaged");
      uint64_t position = claimed;
      auto end64 = part_of(file, position, end64_size);
      if (number_at<uint32_t>(end64, 0) != 0x06064b50) {  // bytes in front
        position = end_position - locator_size - end64_size;
        end64 = part_of(file, position, end64_size);
      }
      if (number_at<uint32_t>(end64, 0) != 0x06064b50) fail(file, "its end is damaged");
      const auto start64 = number_at<uint64_t>(end64, 48), size64 = number_at<uint64_t>(end64, 40);
      if (start64 > claimed || claimed - start64 < size64) fail(file, "its directory is damaged");
      if (position == claimed) return {start64, size64, 0};
      return with_bytes_in_front(start64, size64, position);
    }
  }
  if (!small || start > end_position || end_position - start < size)
    fail(file, "its directory is damaged or missing");
  // (Between the directory and its end a signature may stand.)
  if (size == 0 || number_at<uint32_t>(part_of(file, start, 4), 0) == 0x02014b50)
    return {start, size, 0};
  return with_bytes_in_front(start, size, end_position);
}

/// Replaces what did not fit into 32 bits by the numbers of the zip64 field.
bool apply_zip64(std::span<const std::byte> extra, ZipRecord& record) {
  uint64_t* const wanted[] = {&record.size, &record.packed_size, &record.offset};
  if (std::none_of(std::begin(wanted), std::end(wanted),
                   [](const uint64_t* field) { return *field == max32; }))
    return true;
  while (extra.size() >= 4) {
    const auto id = number_at<uint16_t>(extra, 0), size = number_at<uint16_t>(extra, 2);
    if (size > extra.size() - 4) return false;
    auto data = extra.subspan(4, size);
    extra = extra.subspan(size_t{4} + size);
    if (id != 1) continue;
    for (uint64_t* field : wanted) {
      if (*field != max32) continue;
      if (data.size() < 8) return false;
      *field = number_at<uint64_t>(data, 0);
      data = data.subspan(8);
    }
    return true;
  }
  return true;  // the numbers are just that large
}

}  // namespace

ZipDirectory read_zip_directory(const RandomAccessFile& file) {
  std::error_code error;
  const uint64_t file_size = std::filesystem::file_size(file.path(), error);
  if (error) fail(file, error.message());
  ZipDirectory directory;
  const End end = find_end(file, file_size, directory.comment);
  const auto bytes = part_of(file, end.start, end.size);
  directory.start = end.start;
  for (auto rest = std::span(bytes); !rest.empty();) {
    if (rest.size() < record_size || number_at<uint32_t>(rest, 0) != 0x02014b50)
      fail(file, "its directory is damaged");
    const size_t name_size = number_at<uint16_t>(rest, 28),
                 extra_size = number_at<uint16_t>(rest, 30),
                 comment_size = number_at<uint16_t>(rest, 32);
    const size_t whole = record_size + name_size + extra_size + comment_size;
    if (whole > rest.size()) fail(file, "its directory is damaged");
    const std::string_view name(reinterpret_cast<const char*>(rest.data()) + record_size,
                                name_size);
    ZipRecord record;
    // Names that are not UTF-8 are those of the first PCs.
    record.name = is_utf8(name) ? std::string(name) : from_code_page(name, CodePage::ibm437);
    record.encrypted = (number_at<uint16_t>(rest, 8) & 1) != 0;
    record.method = number_at<uint16_t>(rest, 10);
    record.crc = number_at<uint32_t>(rest, 16);
    record.packed_size = number_at<uint32_t>(rest, 20);
    record.size = number_at<uint32_t>(rest, 24);
    record.offset = number_at<uint32_t>(rest, 42);
    if (name.find('\0') != std::string_view::npos ||
        !apply_zip64(rest.subspan(record_size + name_size, extra_size), record))
      fail(file, "its directory is damaged");
    if (record.offset > end.start - end.in_front)
      record.offset = end.start;  // beyond the end: found out when it is read
    else
      record.offset += end.in_front;
    directory.records.push_back(std::move(record));
    rest = rest.subspan(whole);
  }
  return directory;
}

}  // namespace edm2
