// Labels for pictures, from files and datasets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Label of the picture of a seed: [K] float32.
using LabelOfSeed = std::function<Tensor(int64_t seed)>;

/// The row of `rows` [R,K] whose number is the seed modulo R.
LabelOfSeed label_rows(Tensor rows);

/// Labels for a network that takes `label_dim` numbers. The picture of seed s gets number s modulo
/// their count:
///   - .npy: an array [R,K] or [K]; .csv: a line of K numbers for each label;
///   - .json: a list of K numbers, or a list of such lists, or a dataset.json;
///   - a dataset (folder or .zip): the labels of its images. Classes become one-hot vectors.
/// Throws Error naming the file: another format, no labels, of another length, not finite.
LabelOfSeed load_labels(const std::filesystem::path& path, int64_t label_dim);

}  // namespace edm2
