// The Python text that snapshots of the original store beside each object: what it says of networks
// that compute something else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// What a text that defines a network's classes has, or lacks, against the original's: parts of a
/// sentence such as "it defines 'AdaBlock'". Only names are compared (classes, functions, the
/// module that names are imported from) and the one constant of mp_silu: the original's text is not
/// here to compare it whole. Empty for an empty text.
std::vector<std::string> unusual_in_source(std::string_view source);

/// Whether the original's networks have objects of that class.
bool is_known_class(std::string_view name);

/// Whether a constructor of the original's networks has that argument.
bool is_known_argument(std::string_view name);

}  // namespace edm2
