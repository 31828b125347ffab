/// Files compressed by gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace edm2 {

/// The bytes begin as a gzip file does.
bool is_gzip(std::span<const std::byte> bytes);

/// What the file (of one or more parts) holds. Throws Error naming it: damaged, truncated, more
/// than max_bytes.
std::vector<std::byte> gunzip(std::span<const std::byte> bytes, uint64_t max_bytes,
                              const std::string& name);

}  // namespace edm2
