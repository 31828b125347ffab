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
#include "edm2/io/shared_bytes.h"

namespace edm2 {

/// The contents of a file.
struct SafetensorsFile {
  StateDict tensors;                            ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
};

/// Reads a whole file into memory. Strict: the data must be covered exactly, without overlaps or
/// holes; names must be unique; the header begins with '{' and is padded with blanks alone. Types
/// F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ C64 I64 I32 I16 I8 U64 U32 U16
/// U8 BOOL. Throws Error naming the file: truncated, malformed; and the tensor, if its type is
/// another one (F4, F6_E2M3 and F6_E3M2 pack numbers of less than a byte).
SafetensorsFile load_safetensors(const std::filesystem::path& path);

/// The same for the contents of a file; `name` stands in messages.
SafetensorsFile read_safetensors(std::span<const std::byte> contents, const std::string& name);

/// The same, but the tensors are parts of `contents`, which they keep alive, instead of copies:
/// they must not be written to, and their elements may stand at addresses that are no multiples of
/// their size.
SafetensorsFile view_safetensors(const SharedBytes& contents, const std::string& name);

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
