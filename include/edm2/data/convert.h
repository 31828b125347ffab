/// Making a dataset out of a folder or an archive of pictures (`edm2 dataset convert`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/data/resize.h"

namespace edm2 {

struct ConvertOptions {
  std::string source;  ///< folder or zip archive
  std::string dest;    ///< ".zip" makes an archive, anything else a folder
  Transform transform = Transform::none;
  std::optional<Resolution> resolution = {};
  std::optional<int64_t> max_images = {};  ///< at least 1
  PillowVersion pillow = PillowVersion::before_13;
  int threads = 0;  ///< 0: one per processor
};

/// Pictures written and left out (center_crop_wide leaves out what is too small).
struct ConvertResult {
  int64_t written = 0;
  int64_t skipped = 0;
};

/// Converts every picture of the source to 8-bit RGB, transforms it and writes it as a stored PNG,
/// then the labels as dataset.json. Labels come from the source's dataset.json or, for folders,
/// from the names of the folders at the top. Pictures must come out square, all of one size, a
/// power of two. The destination appears complete or not at all; an archive of that name is
/// replaced, a folder must be empty or new. Throws UsageError (max_images < 1) and Error.
ConvertResult convert_dataset(const ConvertOptions& options, Progress& progress);

}  // namespace edm2
