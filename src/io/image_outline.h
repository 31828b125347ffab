// What a picture is before its pixels are decoded, and pictures as networks are trained on them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "edm2/io/image.h"

namespace edm2 {

/// By the header of a picture's file.
struct ImageOutline {
  enum class Kind {
    grey,        ///< one channel
    grey_alpha,  ///< two
    rgb,         ///< three
    rgb_alpha,   ///< four
    palette,     ///< numbers of colours
    grey_ramp,   ///< the same, where each colour is the grey of its number
    cmyk,        ///< inks
    grey_deep,   ///< grey of 16 bits and more
  };
  Kind kind = Kind::rgb;
  int64_t width = 0, height = 0;
};

/// Looks at the first bytes of the file. Throws Error as decode_image does, also if the header does
/// not lie within them.
ImageOutline outline_image(std::span<const std::byte> beginning, const std::string& name);

/// As decode_image, but palettes are looked up and CMYK is multiplied out as decode_rgb does it.
/// With `ramps_are_grey` pictures of Kind::grey_ramp have one channel, their numbers.
Image decode_for_training(std::span<const std::byte> bytes, const std::string& name,
                          bool ramps_are_grey);

}  // namespace edm2
