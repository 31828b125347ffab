// The stages of a denoising as one file.
#pragma once

#include <cstddef>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/io/image.h"

namespace edm2 {

/// How long a stage and the last one, the picture itself, are shown.
constexpr int stage_milliseconds = 120, last_stage_milliseconds = 1500;

// Stages: [F,H,W,3] uint8, contiguous on the CPU. No tensor operations are made with them, because
// in a thread of its own each of them would start a pool of threads.

/// An animated WebP. Throws Error if the sides are too long for the format.
std::vector<std::byte> encode_animation(const Tensor& frames);
/// A PNG with the stages side by side.
std::vector<std::byte> encode_strip(const Tensor& frames, const PngText& text = {});

}  // namespace edm2
