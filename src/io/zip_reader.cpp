#include <zip.h>

#include <fstream>
#include <limits>
#include <string_view>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace {

// Deflate cannot shrink data by more than this factor, so a larger claim is a lie.
constexpr uint64_t max_deflate_ratio = 1032;

std::string reason(zip_t* archive) { return zip_error_strerror(zip_get_error(archive)); }

}  // namespace

bool is_zip_file(const std::filesystem::path& path) {
  char magic[4] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(magic, sizeof magic);
  const std::string_view begin(magic, sizeof magic);
  return file && (begin == "PK\x03\x04" || begin == "PK\x05\x06");
}

ZipReader::ZipReader(std::filesystem::path path) : path_(std::move(path)) {
  int code = 0;
  archive_ = zip_open(path_.c_str(), ZIP_RDONLY, &code);
  if (archive_ == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw Error("cannot read '" + path_.string() + "' as a zip archive: " + text);
  }
  const zip_int64_t count = zip_get_num_entries(archive_, 0);
  entries_.reserve(static_cast<size_t>(count));
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive_, static_cast<zip_uint64_t>(i), 0, &stat) != 0 ||
        (stat.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)) !=
            (ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)) {
      const std::string text = reason(archive_);
      zip_discard(archive_);
      throw Error("the directory of '" + path_.string() + "' is damaged: " + text);
    }
    entries_.push_back({stat.name, stat.size, stat.comp_size});
    index_[stat.name] = static_cast<size_t>(i);
  }
}

ZipReader::~ZipReader() { zip_discard(archive_); }

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

std::vector<std::byte> ZipReader::read(size_t index, uint64_t max_bytes) const {
  const Entry& entry = entries_.at(index);
  const std::string where = "'" + entry.name + "' in '" + path_.string() + "'";
  if (entry.size > max_bytes)
    throw Error(where + " has " + std::to_string(entry.size) + " bytes, more than the limit of " +
                std::to_string(max_bytes));

  const std::lock_guard lock(mutex_);
  zip_file_t* file = zip_fopen_index(archive_, index, 0);
  if (file == nullptr) throw Error("cannot read " + where + ": " + reason(archive_));
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> closer(file, zip_fclose);

  // Opening has checked that the packed bytes lie within the file, so they bound the size.
  if (entry.packed_size < std::numeric_limits<uint64_t>::max() / (2 * max_deflate_ratio) &&
      entry.size > (entry.packed_size + 64) * max_deflate_ratio)
    throw Error(where + " is damaged: it claims " + std::to_string(entry.size) +
                " bytes packed in " + std::to_string(entry.packed_size));

  std::vector<std::byte> bytes(entry.size);
  size_t filled = 0;
  while (filled < bytes.size()) {
    const zip_int64_t got = zip_fread(file, bytes.data() + filled, bytes.size() - filled);
    if (got < 0)
      throw Error("cannot read " + where + ": " + zip_error_strerror(zip_file_get_error(file)));
    if (got == 0) throw Error(where + " is truncated");
    filled += static_cast<size_t>(got);
  }
  // Reading on to the end makes libzip compare the CRC.
  char extra = 0;
  const zip_int64_t rest = zip_fread(file, &extra, 1);
  if (rest < 0)
    throw Error("cannot read " + where + ": " + zip_error_strerror(zip_file_get_error(file)));
  if (rest > 0) throw Error(where + " is damaged: it is longer than the archive says");
  return bytes;
}

}  // namespace edm2
