/// What a dataset is made from, and what may be wrong with it.
#pragma once

#include <string>

namespace edm2 {

/// Which files of a source count as its items.
enum class SourceContent { pictures, latents, both };

/// What to do with files that cannot be used.
enum class OnError {
  stop,  ///< the first one is an Error
  skip,  ///< leave them out and list them
};

/// What a dataset is made from.
struct SourceOptions {
  /// Folder (of pictures, of tar shards, of CIFAR's files or of MNIST's), zip archive, tar shard
  /// (packed by gzip or not), pattern of shards ("data-{000..099}.tar", "data-*.tar"), CIFAR
  /// archive, or MNIST file of pictures.
  std::string path;
  /// "auto": dataset.json, .cls and .json files of shards, or what CIFAR and MNIST say; for folders
  /// without dataset.json the names of the folders at the top. "folders": these names for any
  /// source. "none". Otherwise a file: a table (CSV), JSON lines, or another dataset.json.
  std::string labels = "auto";
  /// CIFAR and MNIST: "train", "test" or "all".
  std::string split = "train";
  /// CIFAR-100: its 20 superclasses instead of its 100 classes.
  bool coarse_labels = false;
  /// Tar shards: which picture of a sample, by what stands behind the first dot of its name ("jpg",
  /// "seg.png"; "seg" for the latter, too; "jpg;png": the first that is there). "": the only one.
  std::string image_key = "";
  SourceContent content = SourceContent::pictures;
  /// skip: labels beside pictures that cannot be read are left out and listed, their pictures stay.
  OnError on_error = OnError::stop;
};

/// A file that cannot be used.
struct FileProblem {
  std::string name;
  std::string reason;
};

/// "stop" or "skip". Throws UsageError.
OnError parse_on_error(const std::string& text);

}  // namespace edm2
