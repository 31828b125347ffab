// Where the pictures of a dataset come from: folders, zips, tar shards, CIFAR and MNIST archives.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/label_file.h"
#include "edm2/core/progress.h"
#include "edm2/data/source_options.h"
#include "edm2/io/image.h"

namespace edm2 {

/// Pictures in order, with their labels. read() and decode() may be called by several threads.
class PictureSource {
 public:
  using Item = LabelledItem;  ///< a null label: none

  virtual ~PictureSource() = default;
  const std::vector<Item>& items() const { return items_; }
  /// What must not be used: names that climb out of the archive or stand in it twice.
  const std::vector<FileProblem>& refused() const { return refused_; }
  /// What the user should know of how the source was read, a sentence each, without "Note: ".
  const std::vector<std::string>& notes() const { return notes_; }
  /// "" is none.
  void add_note(std::string note) {
    if (!note.empty()) notes_.push_back(std::move(note));
  }
  /// Of a source without items: what it holds instead, the end of a sentence; or "".
  const std::string& instead() const { return instead_; }
  /// "folder", "zip", "tar", "CIFAR", "MNIST".
  virtual std::string kind() const = 0;
  /// Throws Error naming the picture.
  virtual Image decode(size_t index, Channels channels) const;
  /// The file of an item. Throws Error, also where items are no files, as here.
  virtual std::vector<std::byte> read(size_t index) const;
  /// What says which labels the items have: "dataset.json", "folders", "table", "source" (they
  /// stand beside the pictures); "" if nothing does, so that items have none.
  const std::string& label_origin() const { return label_origin_; }
  /// There is a dataset.json, though it may say that there are no labels.
  bool has_label_file() const { return has_label_file_; }

 protected:
  friend std::unique_ptr<PictureSource> open_picture_source(const SourceOptions& options);
  friend void apply_labels(PictureSource& source, const SourceOptions& options);

  /// Gives the items the labels that the source itself has for them: here those that they have.
  virtual void read_own_labels(const SourceOptions& options);
  /// Gives the items the labels of dataset.json.
  void take_labels(FileLabels labels);

  std::vector<Item> items_;
  std::string label_origin_;
  bool has_label_file_ = false;
  std::vector<FileProblem> refused_;
  std::vector<std::string> notes_;
  std::string instead_;
};

/// Tells the user the source's notes.
void report_notes(const PictureSource& source, Progress& progress);

/// A folder that is more than files side by side: tar shards, the files of CIFAR or of MNIST; none
/// if it is a folder of pictures.
std::unique_ptr<PictureSource> open_special_folder(const SourceOptions& options);
/// "passed over 2 tar archives among the pictures, such as 'x.tar'" of a folder of pictures; "" for
/// none.
std::string archives_note(const std::string& folder);
/// As open_picture_source, but items have the labels alone that stand beside them.
std::unique_ptr<PictureSource> open_unlabelled_source(const SourceOptions& options);

/// Which files of a source count.
bool is_wanted(const std::string& name, SourceContent content);

/// How many bytes so many packed ones may become: pictures, labels and latents do not shrink to a
/// hundredth, archives that are made to fill the memory do.
constexpr uint64_t most_unpacked_bytes(uint64_t packed_bytes) {
  constexpr uint64_t harmless = uint64_t{16} << 20, largest_ratio = 100;
  return std::max(harmless, largest_ratio * packed_bytes);
}

/// Takes names that climb, are absolute or stand twice out of `names`, and reports them.
void refuse_hostile_names(std::vector<std::string>& names, std::vector<FileProblem>& refused);

/// Opens the source and gives every item its label. Throws Error: no such source, damaged, labels
/// that cannot be.
std::unique_ptr<PictureSource> open_picture_source(const SourceOptions& options);

/// Top-level folder of each item ('' at the root) -> rank among these names. None if there is but
/// one. Returns how many there are.
size_t label_by_folders(std::vector<PictureSource::Item>& items);
/// Labels from a file beside the source: a table (CSV), lines of JSON objects, or another
/// dataset.json. Throws Error if an item has none, and where the meaning is not certain.
void label_by_file(std::vector<PictureSource::Item>& items, const std::string& path,
                   std::vector<std::string>& notes);
/// "17 of 50,000 pictures have no label, the first is 'x.png'; the dataset gets none", where some
/// of the first `count` have labels or should have; "" otherwise.
std::string missing_labels_note(const PictureSource& source, int64_t count, bool beside_pictures);
/// "training refuses these labels: 'x.png' has the class -1; ...", for the first of the first
/// `count` items that is the reason; "" if there is none. Items without a label are passed over.
std::string useless_labels_note(const PictureSource& source, int64_t count);

/// Tar shards in the WebDataset layout.
std::unique_ptr<PictureSource> open_tar_shards(const std::vector<std::string>& shards,
                                               const SourceOptions& options);
/// The paths that a text with {a,b}, {000..099}, * and ? stands for, in order. Throws Error if
/// there are none.
std::vector<std::string> expand_pattern(const std::string& pattern);
/// The text has any of these.
bool is_pattern(const std::string& text);

/// CIFAR-10 and CIFAR-100 in their published archives (Python's or binary, .tar.gz or .tar), or
/// none if the tar archive `bytes` is something else. `path` is for messages.
std::unique_ptr<PictureSource> open_cifar(std::span<const std::byte> bytes,
                                          const SourceOptions& options);
/// A folder into which such an archive was unpacked, or the folder above it; none if it is neither.
std::unique_ptr<PictureSource> open_cifar_folder(const SourceOptions& options);
/// MNIST and its kin: a file of pictures, or a folder with such files (or with a folder for each of
/// them); none if it is neither.
std::unique_ptr<PictureSource> open_mnist(const SourceOptions& options);

}  // namespace edm2
