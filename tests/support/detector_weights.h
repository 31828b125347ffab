// Detectors with random weights, in files.
#pragma once

#include <cstdint>
#include <filesystem>

#include "edm2/core/tensor.h"

namespace edm2::test {

/// InceptionV3 by pytorch-fid's names, with its output layer: 24 million numbers.
StateDict random_inception(uint64_t seed = 1);
/// A vision transformer by Meta's names: patches of 14, positions of a 16x16 grid; dim a multiple
/// of 64.
StateDict random_dinov2(int64_t dim = 64, int64_t depth = 2, uint64_t seed = 1);

/// As torch.save writes a state dict.
void save_state(const std::filesystem::path& path, const StateDict& state);

/// Writes the file once per test program and gives its path.
const std::filesystem::path& shared_inception_file();
const std::filesystem::path& shared_dinov2_file();

}  // namespace edm2::test
