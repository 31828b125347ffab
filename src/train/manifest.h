// checksums.sha256 of a run's folder: size and SHA-256 of its files, as `sha256sum -c` reads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace edm2 {

struct FileDigest {
  std::optional<uint64_t> size;  // bytes; none in a list that another program made
  std::string sha256;            // 64 lower-case hexadecimal digits
  bool operator==(const FileDigest&) const = default;
};

/// Of the whole file. Throws Error if it cannot be read.
FileDigest digest_of(const std::filesystem::path& file);

class Manifest {
 public:
  /// Lines that make no sense are passed over: their files count as not listed.
  static Manifest parse(const std::string& text);
  std::string text() const;

  /// A name may have several digests: while a file is being replaced, the old one's and the new
  /// one's.
  void add(const std::string& name, const FileDigest& digest);
  void replace(const std::string& name, const FileDigest& digest);
  void erase(const std::string& name) { files_.erase(name); }
  /// Empty: not listed.
  const std::vector<FileDigest>& digests(const std::string& name) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, std::vector<FileDigest>> files_;
};

/// What is wrong with the file ("it has 10 bytes instead of 20"), given its digests; none if one of
/// them is its own. The size is compared before anything is read.
std::optional<std::string> difference(const std::filesystem::path& file,
                                      const std::vector<FileDigest>& digests);

}  // namespace edm2
