// CIFAR-10 and CIFAR-100 as their authors publish them
// (https://www.cs.toronto.edu/~kriz/cifar.html): pickles of Python 2, or records of bytes.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/pickle.h"
#include "edm2/io/tar.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr size_t side = 32, plane = side * side, picture_bytes = 3 * plane;

struct BatchFile {
  const char* name;  // last part of its path
  bool test, hundred, binary;
};

constexpr BatchFile batch_files[] = {
    {"data_batch_1", false, false, false},
    {"data_batch_2", false, false, false},
    {"data_batch_3", false, false, false},
    {"data_batch_4", false, false, false},
    {"data_batch_5", false, false, false},
    {"test_batch", true, false, false},
    {"data_batch_1.bin", false, false, true},
    {"data_batch_2.bin", false, false, true},
    {"data_batch_3.bin", false, false, true},
    {"data_batch_4.bin", false, false, true},
    {"data_batch_5.bin", false, false, true},
    {"test_batch.bin", true, false, true},
    {"train", false, true, false},
    {"test", true, true, false},
    {"train.bin", false, true, true},
    {"test.bin", true, true, true},
};

class CifarPictures : public PictureSource {
 public:
  explicit CifarPictures(const SourceOptions& options) : options_(options) {}

  std::string kind() const override { return "CIFAR"; }
  Image decode(size_t index, Channels) const override {
    const uint8_t* planes = pixels_.data() + index * picture_bytes;
    Image image{side, side, 3, std::vector<uint8_t>(picture_bytes)};
    for (size_t i = 0; i < plane; ++i)
      for (size_t c = 0; c < 3; ++c) image.pixels[3 * i + c] = planes[c * plane + i];
    return image;
  }

  void reserve(size_t pictures) { pixels_.reserve(pictures * picture_bytes); }

  bool wants(const BatchFile& file) const {
    return options_.split != (file.test ? "train" : "test");
  }

  void add(const BatchFile& file, std::span<const std::byte> bytes) {
    added_.push_back(&file);
    const std::string where = "'" + std::string(file.name) + "' in '" + options_.path + "'";
    if (file.binary)
      add_records(file, bytes, where);
    else
      add_pickle(file, bytes, where);
  }

  /// Behind the last file. Throws Error if there was none.
  void check_files() {
    if (added_.empty())
      throw Error("'" + options_.path + "' has no pictures of the split '" + options_.split + "'");
    size_t all = 0;
    std::string first_missing;
    for (const BatchFile& file : batch_files) {
      const bool of_this_kind = std::any_of(added_.begin(), added_.end(), [&](const auto* other) {
        return other->hundred == file.hundred && other->binary == file.binary;
      });
      if (!of_this_kind || !wants(file)) continue;
      ++all;
      if (first_missing.empty() && std::find(added_.begin(), added_.end(), &file) == added_.end())
        first_missing = file.name;
    }
    if (!first_missing.empty())
      add_note("'" + first_missing + "' is missing in '" + options_.path + "': there are " +
               std::to_string(added_.size()) + " of " + std::to_string(all) + " files, with " +
               std::to_string(items_.size()) + " pictures");
  }

 private:
  void add_item(const BatchFile& file, int64_t label, size_t number) {
    char name[64];
    std::snprintf(name, sizeof name, "%s/%05zu", file.name, number);
    items_.push_back({name, label});
  }

  /// One label (CIFAR-100: two, the coarse one first) and three planes.
  void add_records(const BatchFile& file, std::span<const std::byte> bytes,
                   const std::string& where) {
    const size_t labels = file.hundred ? 2 : 1, record = labels + picture_bytes;
    if (bytes.empty() || bytes.size() % record != 0)
      throw Error(where + " has " + std::to_string(bytes.size()) +
                  " bytes, which is no multiple of " + std::to_string(record) +
                  "; is the archive whole?");
    for (size_t i = 0; i * record < bytes.size(); ++i) {
      const auto* data = reinterpret_cast<const uint8_t*>(bytes.data()) + i * record;
      add_item(file, data[labels - 1 - (file.hundred && options_.coarse_labels ? 1 : 0)], i);
      pixels_.insert(pixels_.end(), data + labels, data + record);
    }
  }

  /// A dict of data [N, 3072] and lists of labels.
  void add_pickle(const BatchFile& file, std::span<const std::byte> bytes,
                  const std::string& where) {
    const PickleValue root = read_pickle(bytes, options_.path + "/" + file.name);
    const auto find = [&](const char* name) {  // Python 3 may have read the keys as bytes
      const PickleValue* value = root.find(name);
      return value != nullptr ? value : root.find(PickleValue::bytes(name));
    };
    const char* key = !file.hundred            ? "labels"
                      : options_.coarse_labels ? "coarse_labels"
                                               : "fine_labels";
    if (!root.is_dict() || find("data") == nullptr || find(key) == nullptr)
      throw Error(where + " is not a batch of CIFAR: it lacks 'data' or '" + key + "'");
    const Tensor& data = find("data")->as_tensor();
    const auto labels = find(key)->as_ints();
    if (data.scalar_type() != at::kByte || data.dim() != 2 ||
        data.size(1) != static_cast<int64_t>(picture_bytes) ||
        data.size(0) != static_cast<int64_t>(labels.size()))
      throw Error(where +
                  " is not a batch of CIFAR: its data are no rows of 3072 bytes, one for "
                  "each label");
    const auto* first = data.const_data_ptr<uint8_t>();
    pixels_.insert(pixels_.end(), first, first + data.numel());
    for (size_t i = 0; i < labels.size(); ++i) add_item(file, labels[i], i);
  }

  SourceOptions options_;
  std::vector<uint8_t> pixels_;  // [N, 3, 32, 32]
  std::vector<const BatchFile*> added_;
};

/// What the archives are unpacked to.
constexpr const char* usual_folders[] = {"cifar-10-batches-py", "cifar-10-batches-bin",
                                         "cifar-100-python", "cifar-100-binary"};

/// CIFAR's files in the folder. "train" and "test" may be anything: they count beside the file of
/// names alone that comes with them.
std::vector<const BatchFile*> batches_in(const fs::path& folder) {
  std::vector<const BatchFile*> found;
  std::error_code ignored;
  for (const BatchFile& file : batch_files) {
    const char* names = file.binary ? "fine_label_names.txt" : "meta";
    if (fs::is_regular_file(folder / file.name, ignored) &&
        (!file.hundred || fs::is_regular_file(folder / names, ignored)))
      found.push_back(&file);
  }
  return found;
}

}  // namespace

std::unique_ptr<PictureSource> open_cifar_folder(const SourceOptions& options) {
  if (!fs::is_directory(options.path)) return nullptr;
  const fs::path folder = options.path;
  std::vector<fs::path> found;
  if (!batches_in(folder).empty()) found.push_back(folder);
  if (found.empty())
    for (const char* name : usual_folders)
      if (!batches_in(folder / name).empty()) found.push_back(folder / name);
  if (found.empty()) return nullptr;
  if (found.size() > 1)
    throw Error("'" + options.path + "' holds CIFAR twice, in '" + found[0].filename().string() +
                "' and '" + found[1].filename().string() + "'; give one of them as --source");
  auto source = std::make_unique<CifarPictures>(options);
  for (const BatchFile* file : batches_in(found.front()))
    if (source->wants(*file)) source->add(*file, MappedFile(found.front() / file->name).bytes());
  source->check_files();
  return source;
}

std::unique_ptr<PictureSource> open_cifar(std::span<const std::byte> bytes,
                                          const SourceOptions& options) {
  const auto entries = read_tar_directory(bytes, options.path);
  const auto find = [&](const BatchFile& file) -> const TarEntry* {
    for (const TarEntry& entry : entries)
      if (entry.name == file.name || entry.name.ends_with("/" + std::string(file.name)))
        return &entry;
    return nullptr;
  };
  auto source = std::make_unique<CifarPictures>(options);
  bool known = false;
  std::vector<std::pair<const BatchFile*, std::span<const std::byte>>> wanted;
  size_t total = 0;
  for (const BatchFile& file : batch_files) {
    const TarEntry* entry = find(file);
    if (entry == nullptr) continue;
    known = true;
    if (!source->wants(file)) continue;
    wanted.emplace_back(&file, bytes.subspan(entry->offset, entry->size));
    total += entry->size;
  }
  if (!known) return nullptr;
  source->reserve(total / picture_bytes);
  for (const auto& [file, contents] : wanted) source->add(*file, contents);
  source->check_files();
  return source;
}

}  // namespace edm2
