#include "edm2/core/process_launch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/group_watch.h"
#include "core/network_interfaces.h"

extern char** environ;

namespace edm2 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* mark = "EDM2_LAUNCHED";
constexpr int could_not_start = 127;
constexpr int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
/// After a failure: what the processes take at most to end by themselves (see GroupWatch).
constexpr auto grace = std::chrono::seconds(150);
/// What is left to a process that the others have waited for in vain.
constexpr auto last_grace = std::chrono::seconds(2);

/// Signals that this process takes one by one instead of being interrupted by them.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int signal : passed_on) sigaddset(&held_, signal);
    for (const int signal : {SIGCHLD, SIGTSTP}) sigaddset(&held_, signal);
    pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  /// The next one that arrives, or 0 after a while.
  int next() const {
    const timespec while_ = {0, 200'000'000};
    const int signal = sigtimedwait(&held_, nullptr, &while_);
    return signal > 0 ? signal : 0;
  }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t held_, before_;
};

/// The store that the processes meet in; it listens on this machine's own address only.
c10::intrusive_ptr<c10d::TCPStore> start_store() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || bind(fd, any, sizeof address) != 0 || listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, any, &size) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) close(fd);
    throw Error("cannot open a port for the processes to meet at: " + reason);
  }
  c10d::TCPStoreOptions options;
  options.port = ntohs(address.sin_port);
  options.isServer = true;
  options.waitWorkers = false;
  options.masterListenFd = fd;  // closed by the store
  return c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
}

int usable_cores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::max(CPU_COUNT(&cores), 1);
}

/// This process's variables with those of process `rank`, as "NAME=value".
std::vector<std::string> variables_of(int rank, int count, int port) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  variables["RANK"] = variables["LOCAL_RANK"] = std::to_string(rank);
  variables["WORLD_SIZE"] = variables["LOCAL_WORLD_SIZE"] = std::to_string(count);
  variables["MASTER_ADDR"] = "127.0.0.1";
  variables["MASTER_PORT"] = std::to_string(port);
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  variables["TORCHELASTIC_RESTART_COUNT"] = "0";
  variables[mark] = "1";
  variables.try_emplace("OMP_NUM_THREADS", std::to_string(std::max(usable_cores() / count, 1)));
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t start_process(const std::filesystem::path& program, std::vector<std::string> words,
                    std::vector<std::string> variables, const sigset_t& signals) {
  const auto argv = pointers_to(words), envp = pointers_to(variables);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw Error(std::string("cannot start a process: ") + std::strerror(errno));
  if (child > 0) return child;
  // Only what is safe between fork and exec. A group of its own keeps the terminal's Ctrl-C away,
  // which this program passes on.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before that
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  execve(program.c_str(), argv.data(), envp.data());
  _exit(could_not_start);
}

class Launch {
 public:
  explicit Launch(int count) : store_(start_store()), pids_(static_cast<size_t>(count), 0) {
    put(failure_key_, "-");
    put(told_key_, "-");
  }
  ~Launch() { send(SIGKILL); }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  void start(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
    const int count = static_cast<int>(pids_.size());
    std::vector<std::string> words = arguments;
    words.insert(words.begin(), program.string());
    for (int rank = 0; rank < count; ++rank)
      pids_[static_cast<size_t>(rank)] = start_process(
          program, words, variables_of(rank, count, store_->getPort()), signals_.before());
  }

  LaunchResult wait() {
    while (running() > 0) {
      const int signal = signals_.next();
      if (signal == SIGTSTP) {
        send(SIGSTOP);
        raise(SIGSTOP);
        send(SIGCONT);
      } else if (signal != 0 && signal != SIGCHLD) {
        send(signal);
      }
      collect();
      end_what_hangs();
    }
    LaunchResult result;
    result.exit_code = first_code_ == 0 && suspended_ ? suspended_exit_code : first_code_;
    if (const auto failure = recorded_failure()) {
      result.exit_code = failure->exit_code;
      if (tells_ || store_->get_to_str(told_key_) == "-") result.untold = failure;
    }
    return result;
  }

 private:
  int64_t running() const {
    return std::count_if(pids_.begin(), pids_.end(), [](pid_t pid) { return pid > 0; });
  }
  void send(int signal) const {
    for (const pid_t pid : pids_)
      if (pid > 0) kill(pid, signal);
  }

  void put(const std::string& key, const std::string& text) {
    static_cast<c10d::Store&>(*store_).set(key, text);
  }
  /// Returns what stands there then.
  std::string put_if_empty(const std::string& key, const std::string& text) {
    return static_cast<c10d::Store&>(*store_).compareSet(key, std::string("-"), text);
  }

  std::optional<ProcessFailure> recorded_failure() const {
    const std::string text = store_->get_to_str(failure_key_);
    return text == "-" ? std::nullopt : std::optional(failure_from_text(text));
  }

  /// Takes note of the processes that have ended.
  void collect() {
    for (size_t rank = 0; rank < pids_.size(); ++rank) {
      int status = 0;
      if (pids_[rank] <= 0 || waitpid(pids_[rank], &status, WNOHANG) != pids_[rank]) continue;
      pids_[rank] = 0;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      if (WIFEXITED(status) && WEXITSTATUS(status) == suspended_exit_code) {
        suspended_ = true;  // no failure: all of them have agreed on it
        continue;
      }
      note_failure(static_cast<int>(rank), status);
    }
  }

  void note_failure(int rank, int status) {
    const bool killed = WIFSIGNALED(status);
    const int code = killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (first_code_ == 0) {
      first_code_ = code;
      failed_at_ = Clock::now();
    }
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    const std::string reason = killed
                                   ? "it was ended by signal " + std::to_string(WTERMSIG(status)) +
                                         " (" + strsignal(WTERMSIG(status)) + ")"
                                   : "it ended with exit code " + std::to_string(code);
    const ProcessFailure failure{rank, host, reason, code};
    // A process that failed in good order has said so itself, and then that stands.
    const std::string mine = failure_to_text(failure);
    if (put_if_empty(failure_key_, mine) != mine) return;
    const bool silent = killed || code == could_not_start;
    if (silent) tells_ = put_if_empty(told_key_, "launcher") == "launcher";
  }

  /// Processes that do not end after a failure: the one that failed (stopped, perhaps) as soon as
  /// it is alone, the others later.
  void end_what_hangs() {
    if (first_code_ == 0) return;
    const auto since = Clock::now() - failed_at_;
    const auto failure = recorded_failure();
    const bool only_the_failed = failure && failure->rank >= 0 && running() == 1 &&
                                 pids_[static_cast<size_t>(failure->rank)] > 0;
    if (since > grace || (only_the_failed && since > last_grace)) send(SIGKILL);
  }

  const HeldSignals signals_;  // before the store's thread starts, which inherits them
  const std::string failure_key_ = group_key(0, "failure"), told_key_ = group_key(0, "told");
  c10::intrusive_ptr<c10d::TCPStore> store_;
  std::vector<pid_t> pids_;  // by rank; 0: ended
  int first_code_ = 0;
  Clock::time_point failed_at_;
  bool suspended_ = false;
  bool tells_ = false;  // that failure is this process's to tell
};

}  // namespace

LaunchResult launch_processes(const std::filesystem::path& program,
                              const std::vector<std::string>& arguments, int count) {
  static_cast<void>(gloo_interfaces());  // one error here instead of one from each process
  Launch launch(count);
  launch.start(program, arguments);
  return launch.wait();
}

bool started_by_launch() {
  const char* value = std::getenv(mark);
  return value != nullptr && *value != '\0';
}

}  // namespace edm2
