/// Resampling and crops of 8-bit pictures, bit for bit as Pillow (up to 12.1) computes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edm2/core/cpu.h"
#include "edm2/io/image.h"

namespace edm2 {

enum class ResizeFilter { box, bicubic, lanczos };

/// Resamples to width x height (both >= 1): the horizontal pass first, the result between the
/// passes rounded to 8 bits, weights as 22-bit fixed point. The same size gives a copy.
Image resize(const Image& image, int64_t width, int64_t height, ResizeFilter filter);
/// The same with the kernels of one instruction set, which this processor must have.
Image resize(const Image& image, int64_t width, int64_t height, ResizeFilter filter,
             CpuLevel level);

/// What dataset conversion does with each picture.
enum class Transform {
  none,              ///< scale to the resolution; the aspect ratio is not kept
  center_crop,       ///< the largest centred square, scaled
  center_crop_wide,  ///< a centred band of the resolution's aspect, scaled, black bars above and
                     ///< below
  center_crop_dhariwal,  ///< as for ADM: halve by box filter, bicubic to the shorter side, crop
};

/// "center-crop", "center-crop-wide" or "center-crop-dhariwal"; "" is none. Throws UsageError.
Transform parse_transform(const std::string& name);
std::string transform_name(Transform transform);

struct Resolution {
  int64_t width = 0;
  int64_t height = 0;
};

/// "64x64" or "64,64". Throws Error "cannot parse tuple ...".
Resolution parse_resolution(const std::string& text);

/// Throws Error if the transform cannot work with this resolution (missing, or not square).
void check_transform(Transform transform, const std::optional<Resolution>& resolution);

/// The transformed picture, or nothing where center_crop_wide leaves a picture out that is too
/// small. The arguments must have passed check_transform.
std::optional<Image> apply_transform(const Image& image, Transform transform,
                                     const std::optional<Resolution>& resolution);

}  // namespace edm2
