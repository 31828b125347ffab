/// Resampling and crops of 8-bit pictures, bit for bit as Pillow computes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edm2/core/cpu.h"
#include "edm2/io/image.h"

namespace edm2 {

/// Resampling filters, by Pillow's names.
enum class ResizeFilter { box, bicubic, lanczos };

/// Which version of Pillow is followed where they differ: the order of the two passes, whose
/// intermediate result is rounded to 8 bits.
enum class PillowVersion {
  before_13,  ///< the horizontal pass first; the published datasets were made so
  v13,        ///< the vertical pass first where that is less work
};

/// The part of the source that fills the result, in pixels from the upper left corner; need not
/// lie on pixel borders.
struct ResizeBox {
  float left = 0, top = 0, right = 0, bottom = 0;

  bool operator==(const ResizeBox&) const = default;
};

/// How a picture is scaled.
struct ResizeOptions {
  ResizeFilter filter = ResizeFilter::lanczos;
  std::optional<ResizeBox> box = {};  ///< none: the whole picture
  PillowVersion pillow = PillowVersion::before_13;
  CpuLevel level = cpu_level();  ///< kernels to use; this processor must have them
};

/// Resamples to width x height (both >= 1); weights are 22-bit fixed point. The same size gives a
/// copy. Throws Error if a size or the box is impossible.
Image resize(const Image& image, int64_t width, int64_t height, const ResizeOptions& options);

/// The part of that size from (left, top) on, which must lie inside.
Image crop(const Image& image, int64_t left, int64_t top, int64_t width, int64_t height);

/// What dataset conversion does with each picture.
enum class Transform {
  none,              ///< scale to the resolution; the aspect ratio is not kept
  center_crop,       ///< the largest centred square, scaled
  center_crop_wide,  ///< a centred band of the resolution's aspect, scaled, black bars above and
                     ///< below
  center_crop_dhariwal,  ///< as for ADM: halve by box filter, bicubic to the shorter side, crop
  fit,  ///< the largest centred part of the resolution's aspect, scaled (Pillow's ImageOps.fit)
  pad,  ///< the whole picture, scaled, on a black canvas (Pillow's ImageOps.pad)
};

/// "center-crop", "center-crop-wide", "center-crop-dhariwal", "fit" or "pad"; "" is none. Throws
/// UsageError.
Transform parse_transform(const std::string& name);
std::string transform_name(Transform transform);

/// Width and height in pixels.
struct Resolution {
  int64_t width = 0;
  int64_t height = 0;
};

/// "10" or "12" (any version before 13) or "13". Throws UsageError.
PillowVersion parse_pillow_version(const std::string& text);

/// "64x64" or "64,64". Throws Error "cannot parse tuple ...".
Resolution parse_resolution(const std::string& text);

/// Throws Error if the transform cannot work with this resolution (missing, or not square).
void check_transform(Transform transform, const std::optional<Resolution>& resolution);

/// The transformed picture, or nothing where center_crop_wide leaves a picture out that is too
/// small. Two or four channels end with alpha, by which colours are weighted as Pillow does. The
/// arguments must have passed check_transform.
std::optional<Image> apply_transform(const Image& image, Transform transform,
                                     const std::optional<Resolution>& resolution,
                                     PillowVersion pillow = PillowVersion::before_13);

}  // namespace edm2
