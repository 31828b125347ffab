#include "edm2/data/file_source.h"

#include <algorithm>
#include <fstream>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/zip.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"
#include "io/system_files.h"

namespace edm2 {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t max_file_bytes = uint64_t{4} << 30;

// What Pillow registers; sorted.
constexpr std::string_view image_extensions[] = {
    "apng", "avif", "avifs", "blp",  "bmp", "bufr", "bw",   "cur",  "dcx", "dds",  "dib", "emf",
    "eps",  "fit",  "fits",  "flc",  "fli", "ftc",  "ftu",  "gbr",  "gif", "grib", "h5",  "hdf",
    "icb",  "icns", "ico",   "iim",  "im",  "j2c",  "j2k",  "jfif", "jp2", "jpc",  "jpe", "jpeg",
    "jpf",  "jpg",  "jpx",   "mpeg", "mpg", "mpo",  "msp",  "palm", "pbm", "pcd",  "pcx", "pdf",
    "pfm",  "pgm",  "png",   "pnm",  "ppm", "ps",   "psd",  "pxr",  "qoi", "ras",  "rgb", "rgba",
    "sgi",  "tga",  "tif",   "tiff", "vda", "vst",  "webp", "wmf",  "xbm", "xpm"};

class Folder : public FileSource {
 public:
  Folder(fs::path root, bool follow_links) : root_(std::move(root)), follow_links_(follow_links) {
    std::vector<std::string> names;
    std::vector<fs::path> above;
    list(root_, "", above, names);
    set_names(std::move(names));
  }

  std::vector<std::byte> read(const std::string& name) const override {
    const uint64_t size = size_of(root_ / name);
    if (size > max_file_bytes)
      throw Error("'" + (root_ / name).string() + "' is larger than 4 GiB");
    return read_first(root_ / name, size);
  }
  std::vector<std::byte> read_beginning(const std::string& name, uint64_t size) const override {
    return read_first(root_ / name, std::min(size, size_of(root_ / name)));
  }

 private:
  static uint64_t size_of(const fs::path& path) {
    std::error_code error;
    const uintmax_t size = fs::file_size(path, error);
    if (error) throw Error("cannot read '" + path.string() + "': " + error.message());
    return size;
  }

  static std::vector<std::byte> read_first(const fs::path& path, uint64_t size) {
    std::vector<std::byte> bytes(size);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!file) throw Error("cannot read '" + path.string() + "'");
    return bytes;
  }

  void list(const fs::path& folder, const std::string& prefix, std::vector<fs::path>& above,
            std::vector<std::string>& names) const {
    std::error_code error;
    above.push_back(fs::canonical(folder, error));
    if (std::count(above.begin(), above.end(), above.back()) > 1)
      throw Error("the link '" + folder.string() + "' leads back to a folder above it");
    for (auto entry = fs::directory_iterator(folder, error);
         !error && entry != fs::directory_iterator(); entry.increment(error)) {
      const std::string name = prefix + entry->path().filename().string();
      std::error_code ignored;
      if (entry->is_directory(ignored)) {
        if (follow_links_ || !entry->is_symlink(ignored))
          list_inner(entry->path(), name + '/', above, names);
      } else {
        names.push_back(name);
      }
    }
    if (error) throw Error("cannot list the folder '" + folder.string() + "': " + error.message());
    above.pop_back();
  }

  /// What systems leave behind may be closed ("lost+found") or lead anywhere, which is no reason to
  /// stop.
  void list_inner(const fs::path& folder, const std::string& prefix, std::vector<fs::path>& above,
                  std::vector<std::string>& names) const {
    const size_t depth = above.size();
    try {
      list(folder, prefix, above, names);
    } catch (const Error&) {
      if (!is_system_file(prefix)) throw;
      above.resize(depth);
      names.push_back(prefix + "...");
    }
  }

  fs::path root_;
  bool follow_links_;
};

class Archive : public FileSource {
 public:
  explicit Archive(const fs::path& path) : zip_(path) {
    std::vector<std::string> names;
    for (std::string& name : zip_.names())
      if (!name.ends_with('/')) names.push_back(std::move(name));
    std::vector<std::string> harmless = names;
    refuse_hostile_names(harmless, problems_);
    for (size_t i = 0; i < zip_.entries().size(); ++i) places_[zip_.entries()[i].name] = i;
    set_names(std::move(names));
  }
  std::vector<std::byte> read(const std::string& name) const override {
    const auto found = places_.find(name);
    if (found == places_.end())
      return zip_.read(name, max_file_bytes);  // says that it is not there
    const ZipReader::Entry& entry = zip_.entries()[found->second];
    if (entry.size > most_unpacked_bytes(entry.packed_size))
      throw Error("'" + name + "' in '" + zip_.path().string() + "' would grow from " +
                  std::to_string(entry.packed_size) + " to " + std::to_string(entry.size) +
                  " bytes, as in archives that are made to fill the memory; if it is meant so, "
                  "unpack the archive into a folder");
    return zip_.read(found->second, max_file_bytes);
  }
  std::vector<std::byte> read_beginning(const std::string& name, uint64_t size) const override {
    const auto found = places_.find(name);
    if (found == places_.end()) return zip_.read(name, size);
    return zip_.read_beginning(found->second, size);
  }

 private:
  ZipReader zip_;
  std::unordered_map<std::string, size_t> places_;  // the last one of a name counts
};

}  // namespace

void FileSource::set_names(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  system_files_ = take_system_files(names);
  names_ = std::move(names);
}

bool FileSource::contains(const std::string& name) const {
  return std::binary_search(names_.begin(), names_.end(), name);
}

std::unique_ptr<FileSource> open_folder(const fs::path& path, bool follow_folder_links) {
  return std::make_unique<Folder>(path, follow_folder_links);
}

std::unique_ptr<FileSource> open_zip(const fs::path& path) {
  return std::make_unique<Archive>(path);
}

std::unique_ptr<FileSource> open_file_source(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return open_folder(path, /*follow_folder_links=*/false);
  // Downloaded archives need not have the extension.
  if (lower_extension(path.filename().string()) != ".zip" ? !is_zip_file(path)
                                                          : !fs::exists(path, error))
    throw Error("Path must point to a directory or zip: '" + path.string() + "' " +
                (fs::exists(path, error) ? "is neither" + in_brackets(describe_file(path))
                                         : std::string("does not exist")));
  return open_zip(path);
}

std::string lower_extension(const std::string& name) {
  const size_t start = name.rfind('/') + 1;  // npos + 1 = 0
  const size_t dot = name.rfind('.');
  const size_t first = name.find_first_not_of('.', start);
  if (dot == std::string::npos || first == std::string::npos || dot < first) return "";
  return ascii_lower(name.substr(dot));
}

bool has_image_extension(const std::string& name) {
  static_assert(std::is_sorted(std::begin(image_extensions), std::end(image_extensions)));
  const std::string extension = lower_extension(name);
  return !extension.empty() &&
         std::binary_search(std::begin(image_extensions), std::end(image_extensions),
                            std::string_view(extension).substr(1));
}

}  // namespace edm2
