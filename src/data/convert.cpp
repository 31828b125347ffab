#include "edm2/data/convert.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "data/dataset_writer.h"
#include "data/label_file.h"
#include "data/ordered_workers.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/file_source.h"
#include "edm2/io/image.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace fs = std::filesystem;

namespace {

/// A converted picture; no PNG: left out.
struct Converted {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<std::byte> png;
};

std::unique_ptr<FileSource> open_source(const std::string& path) {
  if (fs::is_directory(path)) return open_folder(path, /*follow_folder_links=*/true);
  if (!fs::is_regular_file(path)) throw Error("Missing input file or directory: " + path);
  if (!is_zip_name(path) && !is_zip_file(path))
    throw Error("Only zip archives are supported: " + path);
  return open_zip(path);
}

std::vector<std::string> image_names(const FileSource& source) {
  std::vector<std::string> images;
  for (const std::string& name : source.names())
    if (has_image_extension(name)) images.push_back(name);
  return images;
}

/// Top-level folder of each image ('' for those at the root) -> rank among these names. Nothing if
/// there is but one.
std::map<std::string, Label> folder_labels(const std::vector<std::string>& images) {
  const auto folder_of = [](const std::string& name) {
    const size_t slash = name.find('/');
    return slash == std::string::npos ? std::string() : name.substr(0, slash);
  };
  std::map<std::string, int64_t> ranks;
  for (const std::string& name : images) ranks[folder_of(name)] = 0;
  if (ranks.size() < 2) return {};
  int64_t next = 0;
  for (auto& [folder, rank] : ranks) rank = next++;
  std::map<std::string, Label> labels;
  for (const std::string& name : images) labels[name] = ranks[folder_of(name)];
  return labels;
}

/// Labels by image name; images without an entry have none.
std::map<std::string, Label> find_labels(const FileSource& source, const ConvertOptions& options,
                                         const std::vector<std::string>& images) {
  std::map<std::string, Label> labels;
  if (auto list = read_label_file(source, options.source))
    for (auto& [name, label] : *list) labels[name] = std::move(label);
  if (labels.empty() && fs::is_directory(options.source)) return folder_labels(images);
  return labels;
}

Converted convert_one(const FileSource& source, const std::string& name,
                      const ConvertOptions& options) {
  const auto bytes = source.read(name);
  const Image image = decode_rgb(bytes, name);
  const auto result = apply_transform(image, options.transform, options.resolution, options.pillow);
  if (!result) return {};
  return {result->width, result->height, encode_png(*result, /*compression_level=*/0)};
}

/// The first picture fixes the size of the dataset.
class SizeCheck {
 public:
  void operator()(const Converted& image, const std::string& name) {
    if (width_ == 0) {
      if (image.width != image.height)
        throw Error("Image dimensions after scale and crop are required to be square.  Got " +
                    std::to_string(image.width) + "x" + std::to_string(image.height));
      if (!std::has_single_bit(static_cast<uint64_t>(image.width)))
        throw Error("Image width/height after scale and crop are required to be power-of-two");
      width_ = image.width;
    }
    if (image.width != width_ || image.height != width_)
      throw Error("Image " + name +
                  " attributes must be equal across all images of the dataset.  Got:\n" +
                  "  dataset width/cur image width: " + std::to_string(width_) + "/" +
                  std::to_string(image.width) + "\n  dataset height/cur image height: " +
                  std::to_string(width_) + "/" + std::to_string(image.height));
  }

 private:
  int64_t width_ = 0;
};

/// 12345 -> "00012/img00012345.png"
std::string output_name(int64_t index) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%08lld", static_cast<long long>(index));
  return std::string(digits, 5) + "/img" + digits + ".png";
}

void check_options(const ConvertOptions& options) {
  if (options.max_images && *options.max_images < 1)
    throw UsageError("Invalid value for '--max-images': " + std::to_string(*options.max_images) +
                     " is not in the range x>=1.");
  check_destination(options.dest);
  check_transform(options.transform, options.resolution);
  std::error_code error;
  if (fs::equivalent(options.source, options.dest, error))
    throw Error("--dest and --source are the same: " + options.dest);
}

}  // namespace

ConvertResult convert_dataset(const ConvertOptions& options, Progress& progress) {
  check_options(options);
  const auto source = open_source(options.source);
  const auto images = image_names(*source);
  if (images.empty()) throw Error("there are no pictures in '" + options.source + "'");
  const auto labels = find_labels(*source, options, images);
  const auto count = static_cast<int64_t>(images.size());
  const int64_t end = std::min(options.max_images.value_or(count), count);

  const auto dest = open_destination(options.dest);
  const int threads =
      options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency());
  OrderedWorkers<Converted> workers(
      threads, int64_t{4} * std::max(threads, 1), end, [&](int64_t index) {
        return convert_one(*source, images[static_cast<size_t>(index)], options);
      });

  progress.start("Converting", end, "image");
  ConvertResult result;
  LabelList written_labels;
  bool all_labelled = true;
  SizeCheck check_size;
  for (int64_t index = 0; index < end; ++index, progress.advance()) {
    check_interrupt();
    const std::string& name = images[static_cast<size_t>(index)];
    const Converted image = workers.next();
    if (image.png.empty()) {
      ++result.skipped;
      continue;
    }
    check_size(image, name);
    dest->add(output_name(index), image.png);
    ++result.written;
    const auto label = labels.find(name);
    all_labelled = all_labelled && label != labels.end() && !label->second.is_null();
    if (all_labelled) written_labels.emplace_back(output_name(index), label->second);
  }
  if (result.written == 0)
    throw Error("every picture in '" + options.source +
                "' is smaller than the resolution asked for");
  const std::string json =
      label_file_text(all_labelled ? std::optional(written_labels) : std::nullopt);
  dest->add("dataset.json", std::as_bytes(std::span(json)));
  dest->finish();
  progress.finish();
  return result;
}

}  // namespace edm2
