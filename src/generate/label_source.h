// Labels for pictures, from files and datasets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Label of the picture of a seed: [K] float32.
using LabelOfSeed = std::function<Tensor(int64_t seed)>;

/// The row of `rows` [R,K] whose number is the seed modulo R.
LabelOfSeed label_rows(Tensor rows);

/// Labels for a network that takes `label_dim` numbers. The picture of seed s gets number s modulo
/// their count:
///   - .npy: an array [R,K], or [R] or [R,1] of classes;
///   - .csv and other tables: a line for each label, with K numbers or a class, maybe with a
///   headline
///     and names of pictures;
///   - .json: a list of lists of K numbers, a list of classes, or a dataset.json;
///   - a dataset (folder or .zip): the labels of its images. Classes become one-hot vectors.
/// A list of K numbers in .npy and .json is one vector for all pictures, unless it may be classes:
/// whole numbers that are classes are such, but for one-hot lists of floating-point numbers.
/// `notes` gets a sentence where both may be meant. Throws Error naming the file: another format,
/// no labels, of another length, not finite.
LabelOfSeed load_labels(const std::filesystem::path& path, int64_t label_dim,
                        std::vector<std::string>& notes);

}  // namespace edm2
