#include "python/translate.h"

#include <mutex>

#include "edm2/core/printable.h"

namespace edm2::python {
namespace {

/// Downloads and decoders report from threads of their own; the functions want one at a time.
class ReportingProgress final : public Progress {
 public:
  explicit ReportingProgress(Reporter reporter) : reporter_(std::move(reporter)) {}

  void message(const std::string& line) override {
    const std::lock_guard lock(mutex_);
    if (reporter_.message) reporter_.message(printable_lines(line));
  }
  void start(const std::string& title, int64_t total, const std::string& unit) override {
    const std::lock_guard lock(mutex_);
    title_ = printable(title), unit_ = unit, total_ = total, done_ = 0;
    report();
  }
  void advance(int64_t count) override {
    const std::lock_guard lock(mutex_);
    done_ += count;
    report();
  }
  void finish() override {
    const std::lock_guard lock(mutex_);
    if (done_ != total_) total_ = done_, report();
  }

 private:
  void report() const {
    if (reporter_.advance) reporter_.advance(title_, done_, total_, unit_);
  }

  Reporter reporter_;
  std::mutex mutex_;
  std::string title_, unit_;
  int64_t total_ = 0, done_ = 0;
};

}  // namespace

std::shared_ptr<Progress> make_reporting_progress(const Reporter& reporter) {
  return std::make_shared<ReportingProgress>(reporter);
}

}  // namespace edm2::python
