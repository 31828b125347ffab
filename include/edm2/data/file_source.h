/// A folder tree or a zip archive as one list of named files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "edm2/data/source_options.h"

namespace edm2 {

/// May be read by several threads at once.
class FileSource {
 public:
  virtual ~FileSource() = default;
  /// Paths of the files relative to the root with '/' separators, sorted by code point, without
  /// duplicates.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// Names that no honest archive has: leading out of it, or standing in it twice. They are among
  /// names() too.
  const std::vector<FileProblem>& problems() const { return problems_; }
  /// What systems leave behind ("._1.png", "__MACOSX/...", hidden files and folders), sorted. It is
  /// not among names().
  const std::vector<std::string>& system_files() const { return system_files_; }
  /// Whole contents. Throws Error naming the file: unreadable, damaged, larger than 4 GiB, or
  /// larger than 16 MiB and packed as only archives are that are made to fill the memory.
  virtual std::vector<std::byte> read(const std::string& name) const = 0;
  /// The first bytes, at most `size`. Throws Error naming the file, but damage behind them does not
  /// show.
  virtual std::vector<std::byte> read_beginning(const std::string& name, uint64_t size) const = 0;

 protected:
  void set_names(std::vector<std::string> names);
  std::vector<FileProblem> problems_;

 private:
  std::vector<std::string> names_, system_files_;
};

/// What datasets are read from: a directory (searched recursively, links to folders left out) or a
/// zip archive (extension .zip in any case, or contents that begin as one). Throws Error otherwise.
std::unique_ptr<FileSource> open_file_source(const std::filesystem::path& path);

/// All files below the folder. Links to folders are entered only if `follow_folder_links`; one that
/// leads back to a folder above it is an Error.
std::unique_ptr<FileSource> open_folder(const std::filesystem::path& path,
                                        bool follow_folder_links);
/// All entries of the archive but folders.
std::unique_ptr<FileSource> open_zip(const std::filesystem::path& path);

/// The extension, lower case, with its dot; "" if there is none (a leading dot begins none).
std::string lower_extension(const std::string& name);
/// An image by its extension, as the original's Python library counts them (whether or not it can
/// be decoded here).
bool has_image_extension(const std::string& name);

}  // namespace edm2
