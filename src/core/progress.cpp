#include "edm2/core/progress.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "edm2/core/platform.h"
#include "edm2/core/printable.h"

namespace edm2 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string format(const char* pattern, auto... values) {
  char text[128];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string plural(const std::string& unit) {
  return unit + (unit.ends_with("ch") || unit.ends_with("s") || unit.ends_with("x") ? "es" : "s");
}

std::string count_of(int64_t count, const std::string& unit) {
  if (unit == "byte") return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, count)));
  return std::to_string(count) + " " + (count == 1 ? unit : plural(unit));
}

// 0:07, 12:34, 1:02:03, 2d 03:04
std::string format_duration(double seconds) {
  const auto s = static_cast<long long>(std::clamp(seconds + 0.5, 0.0, 1e15));
  if (s < 3600) return format("%lld:%02lld", s / 60, s % 60);
  if (s < 86400) return format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return format("%lldd %02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60);
}

std::string format_rate(double rate, const std::string& unit) {
  if (unit == "byte") return format_bytes(static_cast<uint64_t>(std::max(0.0, rate))) + "/s";
  if (rate > 0 && rate < 0.1) return format("%.3g s/", 1 / rate) + unit;
  return format(rate < 10 ? "%.2f " : rate < 100 ? "%.1f " : "%.0f ", rate) + plural(unit) + "/s";
}

/// The piece of work that goes on, and what can be said of it.
struct Work {
  std::string title, unit;
  int64_t total = 0, done = 0;
  int64_t before = 0;  // of those done, by an earlier start of the program
  std::string note;
  Clock::time_point started = Clock::now();

  double seconds() const { return seconds_between(started, Clock::now()); }
  int64_t done_now() const { return done - before; }
  double rate() const { return seconds() > 0 ? static_cast<double>(done_now()) / seconds() : 0; }
  double fraction() const {
    return total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 0;
  }
  double seconds_left() const {
    return rate() > 0 ? static_cast<double>(std::max<int64_t>(0, total - done)) / rate() : 0;
  }

  /// "27/64 images, 2.10 images/s, 0:18 left", or without a total "27 images, ..., 0:13"; then the
  /// note.
  std::string figures() const {
    std::string text = count_of(done, unit);
    if (total > 0)
      text = (unit == "byte" ? text + " of " : std::to_string(done) + "/") + count_of(total, unit);
    if (done_now() > 0) text += ", " + format_rate(rate(), unit);
    if (total == 0)
      text += ", " + format_duration(seconds());
    else if (done_now() > 0)
      text += ", " + format_duration(seconds_left()) + " left";
    return note.empty() ? text : text + ", " + note;
  }
  std::string summary() const {
    return title + ": " + count_of(done_now(), unit) + " in " + format_duration(seconds()) +
           (done_now() > 0 ? " (" + format_rate(rate(), unit) + ")" : "");
  }
};

/// Keeps the books; the styles below only show them. Calls may come from several threads.
class CountingProgress : public Progress {
 public:
  void message(const std::string& line) override {
    const std::lock_guard lock(mutex_);
    show_message(line);
  }

  void start(const std::string& title, int64_t total, const std::string& unit) override {
    const std::lock_guard lock(mutex_);
    if (active_) end_work();
    work_ = Work{.title = title, .unit = unit, .total = total, .note = {}};
    active_ = true;
    last_shown_ = work_.started;
    last_fraction_ = 0;
    show_start();
  }

  void advance(int64_t count) override {
    const std::lock_guard lock(mutex_);
    if (!active_) return;
    work_.done += count;
    const auto now = Clock::now();
    if (!is_due(seconds_between(last_shown_, now), work_.fraction() - last_fraction_)) return;
    last_shown_ = now;
    last_fraction_ = work_.fraction();
    show_progress();
  }

  void already_done(int64_t count) override {
    const std::lock_guard lock(mutex_);
    if (!active_) return;
    work_.done += count;
    work_.before += count;
    last_fraction_ = work_.fraction();
  }

  void note(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    work_.note = text;  // seen when the figures are shown next
  }

  void finish() override {
    const std::lock_guard lock(mutex_);
    if (active_) end_work();
  }

 protected:
  virtual void show_message(const std::string& line) = 0;
  virtual void show_start() = 0;
  virtual void show_progress() = 0;
  virtual void show_finish() = 0;
  /// Whether to show progress again, given what has passed since it was last shown.
  virtual bool is_due(double seconds, double fraction) const = 0;

  const Work& work() const { return work_; }
  bool active() const { return active_; }

 private:
  void end_work() {
    active_ = false;
    show_finish();
  }

  std::mutex mutex_;
  Work work_;
  bool active_ = false;
  Clock::time_point last_shown_;
  double last_fraction_ = 0;
};

// Names and texts from files are among them. (C++ streams, which programs that hold the library can
// lead elsewhere.)
void print_line(std::ostream& stream, const std::string& line) {
  stream << printable_lines(line) << std::endl;
}

class BarProgress final : public CountingProgress {
 public:
  ~BarProgress() override {
    // Work that an error ended: what is printed next begins on a line of its own.
    if (active()) std::cerr << "\n";
  }

 private:
  void show_message(const std::string& line) override {
    if (active()) std::cerr << "\r\033[K";
    print_line(std::cout, line);
    if (active()) show_progress();
  }
  void show_start() override { show_progress(); }
  void show_progress() override {
    const std::string left = work().title + " ", right = " " + work().figures();
    const int room = terminal_width() - 1 - static_cast<int>(left.size() + right.size()) - 2;
    std::string bar;
    if (work().total > 0 && room >= 5) {
      const int width = std::min(room, 40);
      const int filled = static_cast<int>(work().fraction() * width);
      bar = "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
    }
    std::string line = left + bar + right;
    line.resize(std::min(line.size(), static_cast<size_t>(std::max(terminal_width() - 1, 1))));
    line = printable(line);
    std::cerr << "\r" + line + "\033[K" << std::flush;
  }
  void show_finish() override {
    std::cerr << "\r\033[K";
    print_line(std::cerr, work().summary());
  }
  bool is_due(double seconds, double) const override { return seconds >= 0.1; }
};

class LineProgress final : public CountingProgress {
  void show_message(const std::string& line) override { print_line(std::cout, line); }
  void show_start() override {}
  void show_progress() override {
    const std::string percent =
        work().total > 0 ? format("%.0f %%, ", 100 * work().fraction()) : std::string();
    print_line(std::cerr, work().title + ": " + percent + work().figures());
  }
  void show_finish() override { print_line(std::cerr, work().summary()); }
  // Every tenth of the work, but not several lines a second; in long work every ten seconds.
  bool is_due(double seconds, double fraction) const override {
    return seconds >= 10 || (seconds >= 1 && fraction >= 0.1);
  }
};

class QuietProgress final : public Progress {
  void message(const std::string&) override {}
  void start(const std::string&, int64_t, const std::string&) override {}
  void advance(int64_t) override {}
  void finish() override {}
};

class JsonProgress final : public CountingProgress {
  static void print(const nlohmann::ordered_json& json) {
    // File names need not be UTF-8; a log line must not fail for that.
    print_line(std::cout,
               json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  void show_message(const std::string& line) override {
    print({{"event", "message"}, {"text", line}});
  }
  void show_start() override {
    print({{"event", "start"},
           {"title", work().title},
           {"total", work().total},
           {"unit", work().unit}});
  }
  void show_progress() override {
    nlohmann::ordered_json json = {{"event", "progress"},
                                   {"title", work().title},
                                   {"done", work().done},
                                   {"total", work().total},
                                   {"per_second", work().rate()}};
    if (work().total > 0) json["seconds_left"] = work().seconds_left();
    if (!work().note.empty()) json["note"] = work().note;
    print(json);
  }
  void show_finish() override {
    print({{"event", "finish"},
           {"title", work().title},
           {"done", work().done},
           {"seconds", work().seconds()}});
  }
  bool is_due(double seconds, double) const override { return seconds >= 1; }
};

}  // namespace

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  double value = static_cast<double>(bytes) / 1000;
  const char* unit = "kB";
  for (const char* larger : {"MB", "GB", "TB"}) {
    if (value < 999.95) break;
    value /= 1000;
    unit = larger;
  }
  return format("%.1f ", value) + unit;
}

std::shared_ptr<Progress> make_progress(ProgressStyle style) {
  if (style == ProgressStyle::automatic)
    style = stderr_is_terminal() ? ProgressStyle::bar : ProgressStyle::lines;
  switch (style) {
    case ProgressStyle::bar:
      return std::make_shared<BarProgress>();
    case ProgressStyle::quiet:
      return std::make_shared<QuietProgress>();
    case ProgressStyle::json:
      return std::make_shared<JsonProgress>();
    default:
      return std::make_shared<LineProgress>();
  }
}

}  // namespace edm2
