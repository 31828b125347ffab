// Snapshots that arrive over the web, one after the other.
#pragma once

#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "edm2/io/source.h"
#include "ema/hand_over.h"

namespace edm2 {

/// Downloads files of a web folder into a local one, in their order, ahead of who takes them.
class WebSnapshots {
 public:
  /// Downloads begin now. Files that are in the folder are not downloaded again.
  WebSnapshots(std::string url, std::filesystem::path folder, std::vector<std::string> names,
               FetchOptions options);
  ~WebSnapshots();
  WebSnapshots(const WebSnapshots&) = delete;
  WebSnapshots& operator=(const WebSnapshots&) = delete;

  /// Waits for the next file. Throws what went wrong with its download.
  std::filesystem::path next();

 private:
  void download_all();

  static constexpr int ahead = 2;  // files that may wait

  const std::string url_;
  const std::filesystem::path folder_;
  const std::vector<std::string> names_;
  const FetchOptions options_;
  HandOver<int> tickets_;  // permissions to download one more
  HandOver<std::filesystem::path> arrived_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace edm2
