#include "support/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/paths.h"

namespace edm2::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    read_end = ends[0];
    write_end = ends[1];
  }
};

// In the child: never returns.
[[noreturn]] void execute(const std::vector<std::string>& command, const RunOptions& options,
                          const Pipe& out, const Pipe& err) {
  for (const auto& [name, value] : options.environment) {
    if (value)
      setenv(name.c_str(), value->c_str(), 1);
    else
      unsetenv(name.c_str());
  }
  if (options.folder && chdir(options.folder->c_str()) != 0) _exit(126);
  // CTest may run in the background, where SIGINT is ignored, and ignored signals are inherited.
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(out.write_end, STDOUT_FILENO);
  dup2(err.write_end, STDERR_FILENO);
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  _exit(127);
}

// Appends what there is to read; false at the end of the stream.
bool drain(int fd, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t count = read(fd, buffer.data(), buffer.size());
  if (count > 0) text.append(buffer.data(), static_cast<size_t>(count));
  return count > 0 || (count < 0 && errno == EINTR);
}

// Reads both streams until they end, and sends the signals that fall due meanwhile.
void collect(pid_t child, const RunOptions& options, int out, int err, RunResult& result) {
  const auto started = Clock::now();
  bool kill_sent = !options.kill_after.has_value();
  std::array<pollfd, 2> streams = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    poll(streams.data(), streams.size(), 20);
    if (streams[0].revents != 0 && !drain(out, result.out)) streams[0].fd = -1;
    if (streams[1].revents != 0 && !drain(err, result.err)) streams[1].fd = -1;
    const auto elapsed = Clock::now() - started;
    if (!kill_sent && elapsed >= *options.kill_after) {
      kill(child, options.kill_signal);
      kill_sent = true;
    }
    if (elapsed >= options.timeout && !result.timed_out) {
      kill(child, SIGKILL);
      result.timed_out = true;
    }
  }
}

}  // namespace

RunResult run_command(const std::vector<std::string>& command, const RunOptions& options) {
  const Pipe out, err;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) execute(command, options, out, err);
  close(out.write_end);
  close(err.write_end);
  RunResult result;
  std::thread beside;
  if (options.meanwhile) beside = std::thread([&] { options.meanwhile(child); });
  collect(child, options, out.read_end, err.read_end, result);
  if (beside.joinable()) beside.join();
  close(out.read_end);
  close(err.read_end);
  int status = 0;
  rusage usage = {};
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  result.peak_memory = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

RunResult run_edm2(const std::vector<std::string>& arguments, const RunOptions& options) {
  std::vector<std::string> command = {program().string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_command(command, options);
}

void expect_error(const RunResult& run, int code, const std::string& text) {
  EXPECT_EQ(run.exit_code, code) << run.err;
  EXPECT_NE(run.err.find(text), std::string::npos) << run.err;
  const size_t error = run.err.find("Error: ");
  ASSERT_NE(error, std::string::npos) << run.err;
  EXPECT_EQ(run.err.find('\n', error), run.err.size() - 1) << run.err;
}

std::map<std::string, int> children_by_variable(int pid, const std::string& variable) {
  std::map<std::string, int> children;
  const std::filesystem::path process = "/proc/" + std::to_string(pid);
  std::istringstream list(read_file(process / "task" / std::to_string(pid) / "children"));
  for (int child = 0; list >> child;) {
    std::istringstream entries(read_file("/proc/" + std::to_string(child) + "/environ"));
    std::string value;
    for (std::string entry; std::getline(entries, entry, '\0');)
      if (entry.starts_with(variable + "=")) value = entry.substr(variable.size() + 1);
    children[value] = child;
  }
  return children;
}

bool wait_until(const std::function<bool()>& holds, std::chrono::milliseconds limit) {
  const auto started = Clock::now();
  while (!holds()) {
    if (Clock::now() - started > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace edm2::test
