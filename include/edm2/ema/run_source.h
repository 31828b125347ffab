/// "RUN_FOLDER@0.135": a network of any EMA length as if it were a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace edm2 {

/// A run and an EMA length.
struct RunSource {
  std::filesystem::path folder;  ///< of the snapshots
  double std = 0;                ///< EMA length, in (0, 0.289)
  std::optional<int64_t> kimg;   ///< training time in thousands of images; none: the latest

  /// "runs/photos@0.135,kimg=8388"
  std::string text() const;
};

/// None if the text has another form, is an address of the web or a file that exists. Throws Error
/// if it begins with a folder and '@', but what follows is no EMA length and time.
std::optional<RunSource> parse_run_source(const std::string& text);

}  // namespace edm2
