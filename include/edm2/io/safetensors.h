/// The safetensors format: a JSON header, then the elements of all tensors.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/io/array_stream.h"

namespace edm2 {

struct SafetensorsFile {
  StateDict tensors;                            ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
};

/// Reads a whole file into memory. Strict: the data must be covered exactly, without overlaps or
/// holes; names must be unique. Types F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL.
/// Throws Error naming the file: truncated, malformed, another type, ...
SafetensorsFile load_safetensors(const std::filesystem::path& path);

/// The same for the contents of a file; `name` stands in messages.
SafetensorsFile read_safetensors(std::span<const std::byte> contents, const std::string& name);

/// The same, but the tensors point into `contents` instead of being copied: they must not be
/// written to, and their elements may stand at addresses that are no multiples of their size.
SafetensorsFile view_safetensors(std::span<const std::byte> contents, const std::string& name);

/// The contents begin like a safetensors file (header length, then '{').
bool is_safetensors(std::span<const std::byte> contents);

/// What stands before the elements of the tensors, which follow without gaps: length of the header
/// and header. Throws Error: a name that stands twice, a type that the format lacks.
std::string safetensors_header(const std::vector<ArraySpec>& tensors,
                               const std::map<std::string, std::string>& metadata = {});

/// Writes atomically, tensors in the given order, data aligned to 8 bytes. Throws Error: a name
/// that stands twice, a type the format lacks, a full disk.
void save_safetensors(const std::filesystem::path& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// Begins a safetensors file of tensors that grow row by row, in memory that does not depend on
/// their length.
std::unique_ptr<ArrayStream> stream_safetensors(
    const std::filesystem::path& path, const std::vector<ArraySpec>& arrays,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace edm2
