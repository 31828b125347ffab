/// What a file or folder is and holds, without running anything in it.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace edm2 {

/// What `edm2 info` looks at.
struct FileInfoOptions {
  bool layers = false;  ///< list every tensor
  bool values = true;   ///< look at the values of tensors: are they finite, how large are they
};

/// Describes network snapshots, state dicts, training states, folders of runs, datasets (zip or
/// folder), VAE folders, feature statistics, arrays, pictures and other pickles.
///
/// Always present: "file", "kind" (such as "network snapshot"), "bytes". A network has its options
/// as "network", further "encoder", "dataset", "loss", as read_config_file() reads them. Throws
/// Error: no such file, damaged, of no kind known here.
nlohmann::ordered_json describe_file(const std::filesystem::path& path,
                                     const FileInfoOptions& options = {});

/// The description for readers: one line a fact, tables for lists of objects.
std::string file_info_text(const nlohmann::ordered_json& info);

}  // namespace edm2
