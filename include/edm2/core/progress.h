/// Where long work reports to: a bar on a terminal, plain lines elsewhere, nothing when quiet,
/// JSON lines for other programs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace edm2 {

/// The one sink that long work reports to.
class Progress {
 public:
  virtual ~Progress() = default;

  /// One line for the user ("Loading main network from ..."). Never part of the bar.
  virtual void message(const std::string& line) = 0;
  /// Begins a piece of work of `total` units (0 = unknown); `unit` is singular, e.g. "image". The
  /// unit "byte" is shown as kB, MB and so on.
  virtual void start(const std::string& title, int64_t total, const std::string& unit) = 0;
  /// `count` more units are done.
  virtual void advance(int64_t count = 1) = 0;
  /// `count` units were done before start(): they are part of what is done, but not of the speed.
  virtual void already_done(int64_t count) { advance(count); }
  /// What else is to be seen of the work from now on ("loss 0.52"), behind its figures.
  virtual void note(const std::string& /*text*/) {}
  /// Ends the piece of work begun by start().
  virtual void finish() = 0;
};

enum class ProgressStyle {
  automatic,  ///< bar if stderr is a terminal, else lines
  bar,
  lines,
  quiet,
  json,
};

/// "512 bytes", "1.2 MB", "3.4 GB": powers of 1000.
std::string format_bytes(uint64_t bytes);

/// Messages go to stdout, bars and progress lines to stderr, JSON lines to stdout.
std::shared_ptr<Progress> make_progress(ProgressStyle style);

}  // namespace edm2
