/// Bytes together with what keeps them alive.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "edm2/core/platform.h"

namespace edm2 {

/// Some bytes and a share in the memory that they lie in. Parts share it too, so whoever holds one
/// may look at its bytes whatever became of the rest. Copies are cheap.
class SharedBytes {
 public:
  SharedBytes() = default;
  /// `bytes` are there as long as `owner` is.
  SharedBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner)
      : bytes_(bytes), owner_(std::move(owner)) {}
  explicit SharedBytes(std::string text) {
    const auto owned = std::make_shared<const std::string>(std::move(text));
    bytes_ = std::as_bytes(std::span(*owned));
    owner_ = owned;
  }
  /// A file, mapped into memory until the last part of it is given up. Throws Error.
  static SharedBytes of_file(const std::filesystem::path& path,
                             MappedFile::Use use = MappedFile::Use::all) {
    return of_map(std::make_shared<const MappedFile>(path, use));
  }
  static SharedBytes of_file(const RandomAccessFile& file,
                             MappedFile::Use use = MappedFile::Use::all) {
    return of_map(std::make_shared<const MappedFile>(file, use));
  }
  /// Bytes of the caller, for readers whose results are independent of them.
  static SharedBytes borrowed(std::span<const std::byte> bytes) { return {bytes, nullptr}; }

  std::span<const std::byte> span() const { return bytes_; }
  /// The same bytes as text.
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  const std::byte* data() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }
  /// `count` bytes from `offset` on, which must be there.
  SharedBytes part(size_t offset, size_t count) const {
    return {bytes_.subspan(offset, count), owner_};
  }
  SharedBytes from(size_t offset) const { return {bytes_.subspan(offset), owner_}; }
  /// Both are parts of the same memory, which they keep alive (and not borrowed).
  bool same_owner(const SharedBytes& other) const { return owner_ && owner_ == other.owner_; }

 private:
  static SharedBytes of_map(const std::shared_ptr<const MappedFile>& map) {
    return {map->bytes(), map};
  }

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

}  // namespace edm2
