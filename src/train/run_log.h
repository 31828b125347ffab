// log.txt of a run: everything said since training was set up, also shown to the user.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/io/append_file.h"

namespace edm2 {

class RunLog {
 public:
  explicit RunLog(std::shared_ptr<Progress> progress) : progress_(std::move(progress)) {}

  /// Shows lines there from now on.
  void report_to(std::shared_ptr<Progress> progress) { progress_ = std::move(progress); }
  /// Appends to `path` from now on. Throws Error.
  void open(const std::filesystem::path& path);
  /// One line (without its newline; may be empty or several lines).
  void line(const std::string& text);
  /// One line for the file alone.
  void note(const std::string& text);

 private:
  std::shared_ptr<Progress> progress_;
  AppendFile file_;
};

}  // namespace edm2
