/// A download on its way: the bytes that have arrived, and what they belong to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace edm2 {

/// One version of a file on a server.
struct RemoteFile {
  std::string etag;                  ///< strong ones only; "" = none
  std::string last_modified;         ///< "" = none, or too young to tell versions apart
  std::optional<uint64_t> length{};  ///< none = the server did not say
  std::string name;                  ///< what the file will be called in the cache

  /// Whether the server can be asked for the rest of exactly this version.
  bool has_validator() const { return !etag.empty() || !last_modified.empty(); }
};

/// Two files in the cache folder: STEM.part with the bytes, STEM.json with their origin and how
/// many of them are known to be on the disk. Only those count when another process takes over,
/// because after a power failure a file may be longer than what was written to it.
///
/// All functions throw Error where the disk does not do its part.
class PartialFile {
 public:
  /// Takes over what an earlier process left of this address.
  PartialFile(const std::filesystem::path& folder, const std::string& stem, const std::string& url);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  uint64_t size() const { return size_; }
  const RemoteFile& remote() const { return remote_; }
  /// All bytes are there.
  bool is_complete() const { return size_ > 0 && remote_.length == size_; }

  /// Empties it: what is appended from now on belongs to `remote`.
  void restart(RemoteFile remote);
  void set_length(uint64_t length) { remote_.length = length; }
  void append(std::span<const std::byte> bytes);
  /// What has arrived survives from now on.
  void sync();
  /// Gives the file its final name. Call it only if it is whole.
  void commit(const std::filesystem::path& target);
  /// Removes both files at the end of this object, instead of leaving them for later (which is done
  /// only if another process can go on with them).
  void discard() { discarded_ = true; }

 private:
  void take_over();
  void truncate(uint64_t size);
  [[noreturn]] void fail(const std::string& what, int error) const;

  std::filesystem::path bytes_, notes_;
  std::string url_;  ///< without password: it stands in the notes
  int descriptor_ = -1;
  RemoteFile remote_;
  uint64_t size_ = 0, synced_ = 0;
  bool discarded_ = false;
};

}  // namespace edm2
