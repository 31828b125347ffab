/// Labels in files of their own beside the pictures, as in tar shards.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "data/label_file.h"

namespace edm2 {

/// The label in a .cls file (a class number, as Python's int() reads it) or a .json file (a label
/// or an object that has one); null if the latter holds other notes on the picture. Not settled
/// yet. Throws Error naming the file in `archive`.
Label label_in_file(std::span<const std::byte> bytes, const std::string& name,
                    const std::string& archive);

}  // namespace edm2
