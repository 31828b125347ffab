// The files of a dataset, in a folder or in a zip archive.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace edm2 {

/// Read-only, safe for several threads.
class FileSource {
 public:
  virtual ~FileSource() = default;
  /// Relative names with '/', sorted by code point (UTF-8 bytes sort alike), without duplicates.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// Throws Error naming the file: missing, unreadable, larger than 4 GiB.
  virtual std::vector<std::byte> read(const std::string& name) const = 0;

 protected:
  void set_names(std::vector<std::string> names);

 private:
  std::vector<std::string> names_;
};

/// All files below the folder. A link to a file counts as that file; links to folders are entered
/// only if `follow_folder_links`. Throws Error, also on a link that leads back to a folder above
/// it.
std::unique_ptr<FileSource> open_folder(const std::filesystem::path& path,
                                        bool follow_folder_links);

/// All entries of the archive but folders.
std::unique_ptr<FileSource> open_zip(const std::filesystem::path& path);

/// Text after the last dot of the last part of the name, as Python's os.path.splitext counts it (a
/// leading dot begins no extension), lower-case.
std::string lower_extension(const std::string& name);

/// The extension belongs to a picture format that Pillow knows (a superset of what can be decoded).
bool is_image_name(const std::string& name);

}  // namespace edm2
