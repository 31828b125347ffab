#include "train/run_log.h"

namespace edm2 {

void RunLog::open(const std::filesystem::path& path) { file_.open(path); }

void RunLog::line(const std::string& text) {
  progress_->message(text);
  note(text);
}

void RunLog::note(const std::string& text) {
  // On a full disk the lines wait; the user sees them all the same.
  if (file_.is_open()) file_.append(text + '\n');
}

}  // namespace edm2
