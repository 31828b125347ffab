// Remembers what long work told its user.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/progress.h"

namespace edm2::test {

class RecordingProgress : public Progress {
 public:
  void message(const std::string& line) override { messages.push_back(line); }
  void start(const std::string& title, int64_t work, const std::string& of) override {
    titles.push_back(title);
    total = work;
    unit = of;
    done = 0;
  }
  void advance(int64_t count) override { done += count; }
  void note(const std::string& text) override { notes.push_back(text); }
  void finish() override { ++finished; }

  /// All messages, each with its end of line.
  std::string text() const {
    std::string all;
    for (const auto& line : messages) all += line + '\n';
    return all;
  }

  std::vector<std::string> messages, titles, notes;
  std::string unit;             ///< of the last piece of work
  int64_t total = 0, done = 0;  ///< likewise
  int finished = 0;
};

}  // namespace edm2::test
