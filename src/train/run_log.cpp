#include "train/run_log.h"

#include "edm2/core/error.h"

namespace edm2 {

void RunLog::open(const std::filesystem::path& path) {
  file_.open(path, std::ios::app);
  if (!file_) throw Error("cannot write '" + path.string() + "'; check the folder's permissions");
}

void RunLog::line(const std::string& text) {
  progress_->message(text);
  if (!file_.is_open()) return;
  file_ << text << '\n';
  file_.flush();  // the log is followed while the run goes on
}

}  // namespace edm2
