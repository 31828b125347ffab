#include <zlib.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/io/zip.h"
#include "io/zip_directory.h"

namespace edm2 {
namespace {

// Deflate cannot shrink data by more than this factor, so a larger claim is a lie.
constexpr uint64_t max_deflate_ratio = 1032;
constexpr size_t header_size = 30;
enum Method : uint16_t { stored = 0, deflated = 8 };

std::string method_name(uint16_t method) {
  constexpr std::pair<int, const char*> names[] = {{1, "shrink"}, {6, "implode"}, {9, "deflate64"},
                                                   {12, "bzip2"}, {14, "LZMA"},   {93, "Zstandard"},
                                                   {95, "XZ"}};
  for (const auto& [number, name] : names)
    if (number == method) return name;
  return "method " + std::to_string(method);
}

uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Unpacks `packed_size` bytes of the file into exactly target.size() bytes; otherwise says what is
/// wrong. `beginning`: there may be more.
std::string inflate_into(const RandomAccessFile& file, uint64_t offset, uint64_t packed_size,
                         std::span<std::byte> target, bool beginning) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return "there is no memory to unpack it";
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, inflateEnd);
  std::array<std::byte, 65536> packed;
  std::byte beyond[1];  // where a byte too many would go
  uint64_t filled = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (stream.avail_in == 0) {
      const auto part = static_cast<size_t>(std::min<uint64_t>(packed.size(), packed_size));
      if (part == 0) return "is truncated";
      file.read_at(offset, std::span(packed).first(part));
      offset += part;
      packed_size -= part;
      stream.next_in = reinterpret_cast<Bytef*>(packed.data());
      stream.avail_in = static_cast<uInt>(part);
    }
    const bool full = filled == target.size();
    if (full && beginning) return "";
    const uint64_t room = full ? 1 : std::min<uint64_t>(target.size() - filled, 1 << 30);
    stream.next_out = reinterpret_cast<Bytef*>(full ? beyond : target.data() + filled);
    stream.avail_out = static_cast<uInt>(room);
    status = inflate(&stream, Z_NO_FLUSH);
    const uint64_t got = room - stream.avail_out;
    if (full && got > 0) return "is damaged: it is longer than the archive says";
    filled += got;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
      return "is damaged: its packed data make no sense";
  }
  return filled == target.size() ? "" : "is damaged: it is shorter than the archive says";
}

}  // namespace

struct ZipReader::Contents {
  explicit Contents(const std::filesystem::path& path)
      : file(path), directory(read_zip_directory(file)) {}

  RandomAccessFile file;
  ZipDirectory directory;
  std::unordered_map<size_t, size_t> overlaps;  // entry -> another that shares bytes with it
};

bool is_zip_file(const std::filesystem::path& path) {
  char magic[4] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(magic, sizeof magic);
  const std::string_view begin(magic, sizeof magic);
  return file && (begin == "PK\x03\x04" || begin == "PK\x05\x06");
}

ZipReader::ZipReader(std::filesystem::path path)
    : path_(std::move(path)), contents_(std::make_unique<Contents>(path_)) {
  const auto& records = contents_->directory.records;
  entries_.reserve(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    entries_.push_back({records[i].name, records[i].size, records[i].packed_size});
    index_[records[i].name] = i;
  }
  find_overlaps();
}

ZipReader::~ZipReader() = default;

const std::string& ZipReader::comment() const { return contents_->directory.comment; }

/// Entries that share bytes are how a small archive unpacks to any size.
void ZipReader::find_overlaps() {
  const auto& records = contents_->directory.records;
  const auto end_of = [&](size_t i) {
    return records[i].offset + header_size + records[i].name.size() / 4 + records[i].packed_size;
  };
  std::vector<size_t> order(records.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return records[a].offset < records[b].offset; });
  size_t farthest = 0;  // the entry that reaches farthest
  for (size_t k = 0; k < order.size(); ++k) {
    const size_t i = order[k];
    // Entries that lie beyond the file are found out when they are read.
    if (records[i].packed_size > contents_->directory.start) continue;
    if (k > 0 && records[i].offset < end_of(farthest) && farthest != i) {
      contents_->overlaps.emplace(i, farthest);
      contents_->overlaps.emplace(farthest, i);
    }
    if (k == 0 || end_of(i) > end_of(farthest)) farthest = i;
  }
}

std::vector<std::string> ZipReader::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

std::vector<std::byte> ZipReader::read(const std::string& name, uint64_t max_bytes) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw Error("'" + path_.string() + "' has no entry '" + name + "'");
  return read(found->second, max_bytes);
}

/// Where the entry's packed bytes begin; they lie before the directory.
uint64_t ZipReader::check_entry(size_t index, uint64_t max_bytes) const {
  const ZipRecord& record = contents_->directory.records[index];
  const std::string where = "'" + record.name + "' in '" + path_.string() + "'";
  if (record.size > max_bytes)
    throw Error(where + " has " + std::to_string(record.size) + " bytes, more than the limit of " +
                std::to_string(max_bytes));
  if (record.encrypted)
    throw Error("cannot read " + where +
                ": it is encrypted; unpack the archive with its password, and give the folder");
  if (record.method != stored && record.method != deflated)
    throw Error("cannot read " + where + ": it is packed by " + method_name(record.method) +
                ", which is not supported; pack the archive again, stored or deflated");
  if (const auto other = contents_->overlaps.find(index); other != contents_->overlaps.end())
    throw Error(where + " overlaps with '" + entries_[other->second].name +
                "': the archive is damaged or made to fill the memory");
  const uint64_t directory = contents_->directory.start;
  if (record.offset > directory || directory - record.offset < header_size)
    throw Error(where + " is damaged: it lies beyond the end of the archive");
  std::array<std::byte, header_size> header;
  contents_->file.read_at(record.offset, header);
  const auto u8 = [&](size_t i) { return static_cast<uint64_t>(header[i]); };
  if (u8(0) != 'P' || u8(1) != 'K' || u8(2) != 3 || u8(3) != 4)
    throw Error(where + " is damaged: its header is missing");
  const uint64_t start =
      record.offset + header_size + (u8(26) | u8(27) << 8) + (u8(28) | u8(29) << 8);
  if (start > directory || directory - start < record.packed_size)
    throw Error(where + " is truncated");
  if (record.method == stored ? record.size != record.packed_size
                              : record.size > (record.packed_size + 64) * max_deflate_ratio)
    throw Error(where + " is damaged: it claims " + std::to_string(record.size) +
                " bytes packed in " + std::to_string(record.packed_size));
  return start;
}

/// The first bytes of an entry; `beginning`: it does not matter what follows.
std::vector<std::byte> ZipReader::unpack(size_t index, uint64_t max_bytes, uint64_t size,
                                         bool beginning) const {
  const ZipRecord& record = contents_->directory.records.at(index);
  const uint64_t start = check_entry(index, max_bytes);
  std::vector<std::byte> bytes(std::min(size, record.size));
  std::string problem;
  if (record.method == stored)
    contents_->file.read_at(start, bytes);
  else
    problem = inflate_into(contents_->file, start, record.packed_size, bytes, beginning);
  if (!problem.empty()) throw Error("'" + record.name + "' in '" + path_.string() + "' " + problem);
  return bytes;
}

std::vector<std::byte> ZipReader::read_beginning(size_t index, uint64_t size) const {
  return unpack(index, std::numeric_limits<uint64_t>::max(), size, /*beginning=*/true);
}

std::vector<std::byte> ZipReader::read(size_t index, uint64_t max_bytes) const {
  const ZipRecord& record = contents_->directory.records.at(index);
  auto bytes = unpack(index, max_bytes, record.size, /*beginning=*/false);
  if (crc_of(bytes) != record.crc)
    throw Error("cannot read '" + record.name + "' in '" + path_.string() +
                "': it is damaged (its CRC is another)");
  return bytes;
}

}  // namespace edm2
