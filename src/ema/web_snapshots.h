// Snapshots that arrive over the web, one after the other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/ordered_workers.h"
#include "edm2/io/source.h"

namespace edm2 {

/// Downloads files of a web folder into a local one, in their order, ahead of who takes them.
class WebSnapshots {
 public:
  /// Downloads begin now. Files that are in the folder are not downloaded again.
  WebSnapshots(std::string url, std::filesystem::path folder, std::vector<std::string> names,
               FetchOptions options);

  /// Waits for the next file. Throws what went wrong with its download.
  std::filesystem::path next() { return downloads_.next(); }

 private:
  static constexpr int ahead = 2;  // files that may wait

  OrderedWorkers<std::filesystem::path> downloads_;
};

}  // namespace edm2
