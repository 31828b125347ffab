/// Making a dataset out of pictures (`edm2 dataset convert`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/data/resize.h"
#include "edm2/data/source_options.h"

namespace edm2 {

/// What a dataset is made from, and how.
struct DatasetConvertOptions {
  SourceOptions source;
  std::string dest;  ///< ".zip" or ".tar" makes an archive, anything else a folder
  /// Makes `dest` a folder of tar shards with so many pictures each (at least 1).
  std::optional<int64_t> shard_size = {};
  Transform transform = Transform::none;
  std::optional<Resolution> resolution = {};
  std::optional<int64_t> max_images = {};  ///< at least 1
  bool any_shape = false;  ///< sizes that are not square or no power of two are allowed
  Channels channels = Channels::rgb;
  OnError on_error = OnError::stop;
  PillowVersion pillow = PillowVersion::before_13;
  int threads = 0;  ///< 0: one per processor
};

/// What convert_dataset() has made.
struct DatasetConvertResult {
  int64_t written = 0;
  int64_t skipped = 0;                ///< too small for center_crop_wide
  std::vector<FileProblem> problems;  ///< left out because of OnError::skip
};

/// Converts every picture of the source to 8 bits and the channels asked for, transforms it and
/// writes it as a stored PNG, then the labels. Numbers in names are places in the source, so what
/// is left out leaves gaps. Pictures must come out of one size; square and a power of two unless
/// any_shape. The destination appears complete or not at all; an archive of that name is replaced,
/// a folder must be empty or new. Memory does not grow with the number of pictures but for their
/// names and labels. Throws UsageError (max_images or shard_size < 1) and Error.
DatasetConvertResult convert_dataset(const DatasetConvertOptions& options, Progress& progress);

}  // namespace edm2
