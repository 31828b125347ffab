// log.txt of a run: everything said since training was set up, also shown to the user.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "edm2/core/progress.h"

namespace edm2 {

class RunLog {
 public:
  explicit RunLog(std::shared_ptr<Progress> progress) : progress_(std::move(progress)) {}

  /// Appends to `path` from now on. Throws Error.
  void open(const std::filesystem::path& path);
  /// One line (without its newline; may be empty or several lines).
  void line(const std::string& text);

 private:
  std::shared_ptr<Progress> progress_;
  std::ofstream file_;
};

}  // namespace edm2
