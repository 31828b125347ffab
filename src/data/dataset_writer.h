// The destination of a conversion: a zip archive or a folder that appears complete or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace edm2 {

class DatasetWriter {
 public:
  virtual ~DatasetWriter() = default;
  /// `name` with '/'.
  virtual void add(const std::string& name, std::span<const std::byte> contents) = 0;
  /// Makes the result appear under its name. Without it nothing stays behind.
  virtual void finish() = 0;
};

/// A name that ends with ".zip" (in this case) means an archive.
bool is_zip_name(const std::string& path);

/// Throws Error if `dest` is empty or a folder with something in it. Creates nothing.
void check_destination(const std::string& dest);

/// Creates the folders above the destination and begins writing.
std::unique_ptr<DatasetWriter> open_destination(const std::string& dest);

}  // namespace edm2
