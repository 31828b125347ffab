// Command lines within another program.
#include <CLI/CLI.hpp>
#include <iostream>
#include <mutex>
#include <streambuf>

#include "cli/command.h"
#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/program.h"
#include "edm2/core/error.h"
#include "edm2/core/words.h"
#include "python/bridge_parts.h"

namespace edm2::python {
namespace {

using Print = std::function<void(int fd, const std::string& text)>;

/// Takes what is written to a standard stream, and hands it on whenever it is flushed or a line
/// ends.
class Capture final : public std::streambuf {
 public:
  Capture(std::ostream& stream, int fd, const Print& print, std::mutex& mutex)
      : stream_(stream), former_(stream.rdbuf(this)), fd_(fd), print_(print), mutex_(mutex) {}
  ~Capture() override {
    sync();
    stream_.rdbuf(former_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

 protected:
  int_type overflow(int_type c) override {
    const char byte = traits_type::to_char_type(c);
    if (!traits_type::eq_int_type(c, traits_type::eof())) xsputn(&byte, 1);
    return traits_type::not_eof(c);
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    const std::lock_guard lock(mutex_);
    pending_.append(text, static_cast<size_t>(size));
    if (pending_.ends_with('\n')) hand_on();
    return size;
  }
  int sync() override {
    const std::lock_guard lock(mutex_);
    hand_on();
    return 0;
  }

 private:
  void hand_on() {
    if (!pending_.empty()) print_(fd_, std::exchange(pending_, {}));
  }

  std::ostream& stream_;
  std::streambuf* former_;
  int fd_;
  const Print& print_;
  std::mutex& mutex_;
  std::string pending_;
};

}  // namespace

CommandEnd run_words(const std::vector<std::string>& words, const Print& print) {
  std::mutex mutex;
  cli::Ending ending;
  {
    const Capture out(std::cout, 1, print, mutex), err(std::cerr, 2, print, mutex);
    ending = cli::run_command(words);
  }
  return {ending.code, ending.sentence()};
}

std::vector<CommandOption> list_command_options(const std::vector<std::string>& command) {
  CLI::App app("", "edm2");
  cli::CommandContext context;
  cli::add_commands(app, context);
  for (const cli::CommandEntry& entry : cli::list_commands(app)) {
    if (entry.path != command) continue;
    std::vector<CommandOption> options;
    for (const cli::OptionEntry& option : entry.options)
      for (const std::string& name : option.names)
        if (name.starts_with("--")) options.push_back({name.substr(2), !option.value.empty()});
    return options;
  }
  throw UsageError("No such command '" + join(command) + "'.");
}

}  // namespace edm2::python
