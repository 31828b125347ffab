// MNIST and datasets in its format (Fashion-MNIST, KMNIST, ...): IDX files of pictures and labels,
// http://yann.lecun.com/exdb/mnist.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/gzip.h"
#include "io/byte_reader.h"
#include "io/foreign_content.h"
#include "io/system_files.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// An array of bytes: its sizes and values.
struct IdxArray {
  std::vector<uint64_t> sizes;
  std::vector<uint8_t> values;
};

constexpr uint64_t most_bytes = uint64_t{2} << 30;

/// "train-images-idx3-ubyte" of "train-images.idx3-ubyte.gz" and the like, in which mirrors have
/// put dots for dashes; "" if it is no such name.
std::string idx_name(std::string name, int dimensions) {
  const std::string kind = dimensions == 3 ? "idx3-ubyte" : "idx1-ubyte";
  if (is_system_file(name)) return "";
  if (name.ends_with(".gz")) name.erase(name.size() - 3);
  if (name.size() <= kind.size()) return "";
  for (const size_t place : {name.size() - 6, name.size() - kind.size() - 1})
    if (name[place] == '.') name[place] = '-';
  return name.ends_with("-" + kind) ? name : "";
}

bool is_idx_file(const fs::path& path, int dimensions) {
  std::error_code error;
  return !idx_name(path.filename().string(), dimensions).empty() &&
         fs::is_regular_file(path, error);
}

/// Such files in a folder; if it has none, in the folders of such names in it (some programs make
/// one for each file that they unpack) or in its folder "raw".
std::vector<fs::path> idx_files_of(const fs::path& folder, int dimensions) {
  std::vector<fs::path> found, folders;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (is_idx_file(entry.path(), dimensions))
      found.push_back(entry.path());
    else if (entry.is_directory(ignored) && (name == "raw" || !idx_name(name, dimensions).empty()))
      folders.push_back(entry.path());
  }
  if (found.empty())
    for (const fs::path& inner : folders)
      for (const auto& entry : fs::directory_iterator(inner))
        if (is_idx_file(entry.path(), dimensions)) found.push_back(entry.path());
  return found;
}

IdxArray read_idx(const fs::path& path, size_t dimensions) {
  const MappedFile file(path);
  std::vector<std::byte> unpacked;
  std::span<const std::byte> bytes = file.bytes();
  if (is_gzip(bytes)) {
    unpacked =
        gunzip(bytes, std::min(most_bytes, most_unpacked_bytes(bytes.size())), path.string());
    bytes = unpacked;
  }
  const auto fail = [&](const std::string& why) {
    throw Error("'" + path.string() + "' is no IDX file of bytes: " + why);
  };
  const size_t header = 4 + 4 * dimensions;
  if (bytes.size() < header) fail("it is too short" + in_brackets(describe_content(bytes)));
  if (big_endian(bytes.first(4)) != 0x800 + dimensions)
    fail("its first bytes say otherwise" + in_brackets(describe_content(bytes)));
  IdxArray array;
  uint64_t count = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    array.sizes.push_back(big_endian(bytes.subspan(4 + 4 * i, 4)));
    if (array.sizes[i] == 0 || count > most_bytes / array.sizes[i]) fail("its sizes make no sense");
    count *= array.sizes[i];
  }
  if (bytes.size() - header != count)
    fail("it should have " + std::to_string(header + count) + " bytes and has " +
         std::to_string(bytes.size()));
  const auto* values = reinterpret_cast<const uint8_t*>(bytes.data()) + header;
  array.values.assign(values, values + count);
  return array;
}

/// "train-labels-idx1-ubyte.gz" for "train-images-idx3-ubyte.gz", packed or not, in the same folder
/// or in one of its own beside that, if it is there.
std::optional<fs::path> labels_beside(const fs::path& pictures) {
  std::string name = idx_name(pictures.filename().string(), 3);
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const size_t place = name.find(from); place != std::string::npos)
      name.replace(place, from.size(), to);
  };
  replace("images", "labels");
  replace("idx3", "idx1");
  std::vector<fs::path> folders = {pictures.parent_path()};
  if (!idx_name(folders[0].filename().string(), 3).empty())
    folders.push_back(folders[0].parent_path());
  for (const fs::path& folder : folders) {
    std::vector<fs::path> found = idx_files_of(folder.empty() ? "." : folder, 1);
    std::sort(found.begin(), found.end());  // unpacked ones first
    for (const fs::path& path : found)
      if (idx_name(path.filename().string(), 1) == name) return path;
  }
  return std::nullopt;
}

class MnistPictures : public PictureSource {
 public:
  std::string kind() const override { return "MNIST"; }
  Image decode(size_t index, Channels channels) const override {
    const size_t count = height_ * width_;
    const uint8_t* grey = pixels_.data() + index * count;
    Image image{
        static_cast<int64_t>(width_), static_cast<int64_t>(height_), 1, {grey, grey + count}};
    if (channels == Channels::keep) return image;
    Image rgb{image.width, image.height, 3, std::vector<uint8_t>(3 * count)};
    for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = image.pixels[i / 3];
    return rgb;
  }

  void add(const fs::path& path) {
    const IdxArray pictures = read_idx(path, 3);
    if (!pixels_.empty() && (pictures.sizes[1] != height_ || pictures.sizes[2] != width_))
      throw Error("'" + path.string() +
                  "' holds pictures of another size than the files before it");
    height_ = pictures.sizes[1];
    width_ = pictures.sizes[2];
    std::optional<IdxArray> labels;
    if (const auto file = labels_beside(path)) {
      labels = read_idx(*file, 1);
      if (labels->sizes[0] != pictures.sizes[0])
        throw Error("'" + file->string() + "' has " + std::to_string(labels->sizes[0]) +
                    " labels for " + std::to_string(pictures.sizes[0]) + " pictures");
    } else {
      without_labels_.push_back(path.filename().string());
    }
    std::string stem = path.filename().string();
    stem = stem.substr(0, stem.find("-idx3"));
    for (size_t i = 0; i < pictures.sizes[0]; ++i) {
      char number[32];
      std::snprintf(number, sizeof number, "/%05zu", i);
      items_.push_back({stem + number, labels ? Label(labels->values[i]) : Label()});
    }
    pixels_.insert(pixels_.end(), pictures.values.begin(), pictures.values.end());
  }

 protected:
  void read_own_labels(const SourceOptions& options) override {
    for (const std::string& name : without_labels_)
      add_note("there is no file of labels beside '" + name + "', so its pictures have none");
    PictureSource::read_own_labels(options);
  }

 private:
  std::vector<std::string> without_labels_;  // names of files
  size_t height_ = 0, width_ = 0;
  std::vector<uint8_t> pixels_;  // [N, height, width]
};

}  // namespace

std::unique_ptr<PictureSource> open_mnist(const SourceOptions& options) {
  std::vector<fs::path> files;
  if (fs::is_directory(options.path)) {
    std::vector<fs::path> found = idx_files_of(options.path, 3);
    const auto name_of = [](const fs::path& path) { return idx_name(path.filename().string(), 3); };
    std::sort(found.begin(), found.end(), [&](const fs::path& a, const fs::path& b) {
      const std::string name_a = name_of(a), name_b = name_of(b);
      return name_a != name_b ? name_a > name_b : a > b;  // "train" before "t10k"
    });
    for (const fs::path& path : found) {
      const std::string name = name_of(path);
      const bool test = name.starts_with("t10k") || name.starts_with("test");
      const bool twice = !files.empty() && name_of(files.back()) == name;
      if (options.split != (test ? "train" : "test") && !twice) files.push_back(path);
    }
    if (!found.empty() && files.empty())
      throw Error("'" + options.path + "' has no pictures of the split '" + options.split + "'");
  } else if (is_idx_file(options.path, 3)) {
    files.push_back(options.path);
  }
  if (files.empty()) return nullptr;
  auto source = std::make_unique<MnistPictures>();
  for (const fs::path& file : files) source->add(file);
  return source;
}

}  // namespace edm2
