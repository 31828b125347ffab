// The format: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 (records) and 4.5.3 (zip64 extra field).
#include <zlib.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace {

constexpr uint32_t most32 = 0xffffffff;
constexpr uint16_t most16 = 0xffff;
constexpr uint16_t utf8_names = 1 << 11;
constexpr uint16_t dos_date =
    (44 << 9) | (1 << 5) | 1;  // 2024-01-01, so that files are reproducible
constexpr uint16_t zip64_id = 0x0001;
constexpr uint16_t padding_id = 0x4246;  // "FB", as torch uses: an unknown field that readers skip

/// Little-endian integers one after the other.
class Bytes {
 public:
  template <class Integer>
  Bytes& operator<<(Integer value) {
    for (size_t i = 0; i < sizeof(value); ++i)
      text_.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// CRC-32 of the bytes behind others whose CRC is `crc`.
uint32_t checksum(std::span<const std::byte> contents, uLong crc = crc32(0, nullptr, 0)) {
  for (size_t done = 0; done < contents.size();) {
    const size_t part = std::min<size_t>(contents.size() - done, size_t{1} << 30);
    crc =
        crc32(crc, reinterpret_cast<const Bytef*>(contents.data() + done), static_cast<uInt>(part));
    done += part;
  }
  return static_cast<uint32_t>(crc);
}

uint32_t clamp32(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, most32));
}

/// The fields that local header and directory share: from "version needed" to the name's length.
void put_common(Bytes& out, bool zip64, uint32_t crc, uint64_t size, size_t name_length) {
  out << uint16_t(zip64 ? 45 : 20) << utf8_names << uint16_t(0) /*stored*/ << uint16_t(0)
      << dos_date;
  out << crc << clamp32(size) << clamp32(size) << uint16_t(name_length);
}

}  // namespace

void ZipWriter::put(std::string_view bytes) {
  file_.write(bytes);
  position_ += bytes.size();
}

void ZipWriter::add(std::string_view name, std::string_view contents, unsigned alignment) {
  add(name, std::as_bytes(std::span(contents.data(), contents.size())), alignment);
}

ZipWriter::Record& ZipWriter::begin_entry(std::string_view name, uint64_t size, uint32_t crc,
                                          unsigned alignment) {
  if (name.empty() || name.size() >= most16)
    throw Error("a name in a zip archive must have 1 to 65534 bytes");
  if (alignment == 0 || alignment > 4096 || (alignment & (alignment - 1)) != 0)
    throw Error("the alignment within a zip archive must be a power of two up to 4096");
  Record record;
  record.name = name;
  record.crc = crc;
  record.size = size;
  record.offset = position_;

  const bool zip64 = record.size >= most32;
  Bytes extra;
  if (zip64) extra << zip64_id << uint16_t(16) << record.size << record.size;
  constexpr size_t header_size = 30, field_size = 4;
  const uint64_t start = position_ + header_size + name.size() + extra.text().size();
  if (start % alignment != 0) {
    const uint64_t padding = alignment - 1 - (start + field_size - 1) % alignment;
    extra << padding_id << uint16_t(padding);
    for (uint64_t i = 0; i < padding; ++i) extra << 'Z';
  }

  Bytes header;
  header << uint32_t(0x04034b50);
  put_common(header, zip64, record.crc, record.size, name.size());
  header << uint16_t(extra.text().size());
  put(header.text());
  put(name);
  put(extra.text());
  record.data_start = position_;
  records_.push_back(std::move(record));
  return records_.back();
}

void ZipWriter::add(std::string_view name, std::span<const std::byte> contents,
                    unsigned alignment) {
  Record& record = begin_entry(name, contents.size(), checksum(contents), alignment);
  file_.write(contents);
  position_ += contents.size();
  record.filled = record.size;
}

size_t ZipWriter::reserve(std::string_view name, uint64_t size, unsigned alignment) {
  Record& record = begin_entry(name, size, checksum({}), alignment);
  record.crc_is_late = true;
  file_.skip(size);
  position_ += size;
  return records_.size() - 1;
}

void ZipWriter::fill(size_t entry, std::span<const std::byte> bytes) {
  Record& record = records_.at(entry);
  if (bytes.size() > record.size - record.filled)
    throw std::logic_error("ZipWriter: more bytes than were reserved");
  file_.write_at(record.data_start + record.filled, bytes);
  record.crc = checksum(bytes, record.crc);
  record.filled += bytes.size();
}

void ZipWriter::finish() {
  const uint64_t start = position_;
  for (const Record& record : records_) {
    if (record.filled != record.size)
      throw std::logic_error("ZipWriter: a reserved entry is not filled");
    if (!record.crc_is_late) continue;
    constexpr uint64_t crc_position = 14;  // within the local header
    Bytes crc;
    crc << record.crc;
    file_.write_at(record.offset + crc_position, std::as_bytes(std::span(crc.text())));
  }
  for (const Record& record : records_) {
    const bool large = record.size >= most32, far = record.offset >= most32;
    Bytes extra;
    if (large || far) extra << zip64_id << uint16_t((large ? 16 : 0) + (far ? 8 : 0));
    if (large) extra << record.size << record.size;
    if (far) extra << record.offset;

    Bytes header;
    header << uint32_t(0x02014b50) << uint16_t((3 << 8) | 45);  // made by: Unix
    put_common(header, large || far, record.crc, record.size, record.name.size());
    header << uint16_t(extra.text().size()) << uint16_t(0) << uint16_t(0) << uint16_t(0);
    header << uint32_t(0100644u << 16) << clamp32(record.offset);
    put(header.text());
    put(record.name);
    put(extra.text());
  }
  const uint64_t size = position_ - start, count = records_.size();

  Bytes end;
  if (start >= most32 || size >= most32 || count >= most16) {
    const uint64_t zip64_end = position_;
    end << uint32_t(0x06064b50) << uint64_t(44) << uint16_t((3 << 8) | 45) << uint16_t(45);
    end << uint32_t(0) << uint32_t(0) << count << count << size << start;
    end << uint32_t(0x07064b50) << uint32_t(0) << zip64_end << uint32_t(1);
  }
  const auto count16 = static_cast<uint16_t>(std::min<uint64_t>(count, most16));
  end << uint32_t(0x06054b50) << uint16_t(0) << uint16_t(0) << count16 << count16;
  if (comment_.size() > most16) throw std::logic_error("ZipWriter: the comment is too long");
  end << clamp32(size) << clamp32(start) << static_cast<uint16_t>(comment_.size());
  put(end.text());
  put(comment_);
  file_.commit();
}

}  // namespace edm2
