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
  void open(const std::filesystem::path& path) { file_.open(path); }
  /// One line (without its newline; may be empty or several lines).
  void line(const std::string& text) { line(text, text); }
  /// The same, in other words for the user than for the file.
  void line(const std::string& shown, const std::string& noted) {
    progress_->message(shown);
    note(noted);
  }
  /// One line for the file alone. On a full disk the lines wait; the user sees them all the same.
  void note(const std::string& text) {
    if (file_.is_open()) file_.append(text + '\n');
  }

 private:
  std::shared_ptr<Progress> progress_;
  AppendFile file_;
};

}  // namespace edm2
