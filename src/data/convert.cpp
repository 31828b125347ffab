#include "edm2/data/convert.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include "core/ordered_workers.h"
#include "data/dataset_writer.h"
#include "data/folder_classes.h"
#include "data/name_text.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/image.h"

namespace edm2 {
namespace fs = std::filesystem;

namespace {

/// A converted picture; no PNG: left out, because of a problem or because it is too small.
struct Converted {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 0;
  std::vector<std::byte> png;
  std::optional<std::string> problem;
};

Converted convert_one(const PictureSource& source, size_t index,
                      const DatasetConvertOptions& options) {
  const Image image = source.decode(index, options.channels);
  const auto result = apply_transform(image, options.transform, options.resolution, options.pillow);
  if (!result) return {};
  return {result->width, result->height, result->channels,
          encode_png(*result, /*compression_level=*/0), std::nullopt};
}

/// The first picture fixes the shape of the dataset.
class ShapeCheck {
 public:
  explicit ShapeCheck(bool any_shape) : any_shape_(any_shape) {}

  void operator()(const Converted& image, const std::string& name) {
    if (width_ == 0) {
      if (!any_shape_) check_first(image);
      width_ = image.width;
      height_ = image.height;
      channels_ = image.channels;
    }
    if (image.width != width_ || image.height != height_)
      throw Error("Image " + name +
                  " attributes must be equal across all images of the dataset.  Got:\n" +
                  "  dataset width/cur image width: " + std::to_string(width_) + "/" +
                  std::to_string(image.width) + "\n  dataset height/cur image height: " +
                  std::to_string(height_) + "/" + std::to_string(image.height));
    if (image.channels != channels_)
      throw Error("Image " + name + " has " + std::to_string(image.channels) +
                  " channels, the first one " + std::to_string(channels_) +
                  "; leave out --channels=keep to make all of them RGB");
  }

 private:
  static void check_first(const Converted& image) {
    if (image.width != image.height)
      throw Error("Image dimensions after scale and crop are required to be square.  Got " +
                  std::to_string(image.width) + "x" + std::to_string(image.height));
    if (!std::has_single_bit(static_cast<uint64_t>(image.width)))
      throw Error("Image width/height after scale and crop are required to be power-of-two");
  }

  bool any_shape_;
  int64_t width_ = 0, height_ = 0, channels_ = 0;
};

void check_at_least_one(const std::optional<int64_t>& value, const std::string& option) {
  if (value && *value < 1)
    throw UsageError("Invalid value for '" + option + "': " + std::to_string(*value) +
                     " is not in the range x>=1.");
}

void check_options(const DatasetConvertOptions& options) {
  check_at_least_one(options.max_images, "--max-images");
  check_at_least_one(options.shard_size, "--shard-size");
  check_destination(options.dest);
  if (options.shard_size && (is_zip_name(options.dest) || is_tar_name(options.dest)))
    throw UsageError("--shard-size makes a folder of tar shards, and --dest names a file.");
  check_transform(options.transform, options.resolution);
  std::error_code error;
  if (fs::equivalent(options.source.path, options.dest, error))
    throw Error("--dest and --source are the same: " + options.dest);
}

/// What is wrong with the source as a whole.
void check_source(const PictureSource& source, const DatasetConvertOptions& options,
                  DatasetConvertResult& result) {
  if (options.on_error == OnError::stop && !source.refused().empty()) {
    const FileProblem& first = source.refused().front();
    throw Error("'" + first.name + "' in '" + options.source.path +
                "' is refused: " + first.reason + " (--on-error=skip leaves it out)");
  }
  result.problems = source.refused();
  if (source.items().empty())
    throw Error("there are no pictures in '" + options.source.path + "'" + source.instead());
}

void check_written(const DatasetConvertResult& result, const std::string& path) {
  if (result.written > 0) return;
  throw Error(result.problems.empty()
                  ? "every picture in '" + path + "' is smaller than the resolution asked for"
                  : "no picture in '" + path +
                        "' could be used; the first: " + result.problems.front().reason);
}

/// The folders are the classes: tells the user, and the dataset if it can hold that.
void name_classes(const PictureSource& source, DatasetWriter& dest, Progress& progress) {
  const auto classes = classes_of_folders(names_of(source.items())).folders;
  progress.message("The " + with_commas(classes.size()) +
                   " folders are the classes: " + numbered_names(classes));
  dest.name_classes(classes);
}

}  // namespace

DatasetConvertResult convert_dataset(const DatasetConvertOptions& options, Progress& progress) {
  check_options(options);
  SourceOptions source_options = options.source;
  source_options.on_error = options.on_error;
  const auto source = open_picture_source(source_options);
  report_notes(*source, progress);
  DatasetConvertResult result;
  check_source(*source, options, result);
  const auto& items = source->items();
  const auto count = static_cast<int64_t>(items.size());
  const int64_t end = std::min(options.max_images.value_or(count), count);

  const bool labels_beside = options.shard_size || is_tar_name(options.dest);
  for (const std::string& note :
       {missing_labels_note(*source, end, labels_beside), useless_labels_note(*source, end)})
    if (!note.empty()) progress.message("Note: " + note);

  const auto dest = open_destination(options.dest, options.shard_size);
  if (source->label_origin() == "folders") name_classes(*source, *dest, progress);
  const int threads = options.threads > 0 ? options.threads : worker_threads();
  const bool skip = options.on_error == OnError::skip;
  // The thread that writes is one of them.
  OrderedWorkers<Converted> workers(threads - 1, int64_t{4} * threads, end, [&](int64_t index) {
    try {
      return convert_one(*source, static_cast<size_t>(index), options);
    } catch (const Error& error) {
      if (!skip) throw;
      return Converted{.png = {}, .problem = error.what()};
    }
  });
  progress.start("Converting", end, "image");
  ShapeCheck check_shape(options.any_shape);
  for (int64_t index = 0; index < end; ++index, progress.advance()) {
    check_interrupt();
    const auto& item = items[static_cast<size_t>(index)];
    Converted image = workers.next_helping();
    if (image.png.empty() && !image.problem) {
      ++result.skipped;
      continue;
    }
    try {
      if (!image.problem) check_shape(image, item.name);
    } catch (const Error& error) {
      // The first picture decides what all others must be.
      if (!skip || result.written == 0) throw;
      image.problem = error.what();
    }
    if (image.problem) {
      result.problems.push_back({item.name, *image.problem});
      continue;
    }
    dest->add(dataset_name(index, "img", ".png"), image.png, item.label);
    ++result.written;
  }
  check_written(result, options.source.path);
  dest->finish();
  progress.finish();
  return result;
}

}  // namespace edm2
