/// What a dataset holds and what is wrong with it (`edm2 dataset check`), and how it looks (`edm2
/// dataset show`).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/data/encoder.h"
#include "edm2/data/source_options.h"
#include "edm2/io/image.h"

namespace edm2 {

/// What check_dataset() has found.
struct DatasetReport {
  std::string path;
  std::string kind;  ///< "folder", "zip", "tar", "CIFAR", "MNIST"
  int64_t pictures = 0;
  int64_t latents = 0;  ///< .npy files
  /// Shapes "channels x height x width" and how many items have each.
  std::map<std::string, int64_t> shapes;
  /// "none", "classes", "vectors", or "mixed" if items have labels of several kinds or lengths.
  std::string labels = "none";
  int64_t labelled = 0;
  int64_t label_dim = 0;                ///< highest class + 1, or length of the vectors
  std::map<int64_t, int64_t> classes;   ///< class -> items, but for classes beyond 63 bits
  std::vector<std::string> unlabelled;  ///< if others are labelled
  std::vector<FileProblem> broken;      ///< what cannot be read or is refused
  std::vector<std::vector<std::string>> duplicates;  ///< items with the same shape and contents
  /// Of a source without pictures: what it holds instead and what to do, the end of a sentence.
  std::string instead;
  /// What the user should know of how the source was read.
  std::vector<std::string> notes;
  /// Why training on it is impossible; empty if it is possible.
  std::vector<std::string> obstacles;
};

/// Reads and decodes every item. `threads` 0: one per processor. Throws Error if the source cannot
/// be opened.
DatasetReport check_dataset(const SourceOptions& source, int threads, Progress& progress);

/// All of it, for programs: what `edm2 dataset check --json` prints.
nlohmann::ordered_json to_json(const DatasetReport& report);
/// For people; long lists are cut.
std::string to_text(const DatasetReport& report);

/// Which pictures a contact sheet shows, and how.
struct ShowOptions {
  SourceOptions source = {};
  int64_t count = 64;   ///< pictures, at least 1
  int64_t first = 0;    ///< place of the first one
  bool random = false;  ///< pictures from all over the dataset, chosen by `seed`
  int64_t seed = 0;
  int64_t columns = 0;  ///< 0: about square
};

/// Pictures of a dataset side by side; all in the size of the first one. Latents go through the
/// encoder: decoded if `decode_latents`, otherwise a rough impression in the latents' size. Throws
/// Error.
Image show_dataset(const ShowOptions& options, const Encoder& encoder, bool decode_latents,
                   Progress& progress);

}  // namespace edm2
