// Signals that ask the program to end its work.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

volatile std::sig_atomic_t arrived_signal = 0;

volatile time_t arrival_time = 0;

/// An InterruptScope lives: a program of others goes on behind it, so nothing ends the process.
volatile std::sig_atomic_t in_scope = 0;

/// What is said when the signal arrives, or null.
std::atomic<const char*> interrupt_notice = nullptr;
static_assert(std::atomic<const char*>::is_always_lock_free);  // else handlers must not look at it

void write_interrupt_notice() {
  const char* text = interrupt_notice;
  if (text == nullptr) return;
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
  errno = error;
}

time_t monotonic_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/// A launcher passes on what the batch system has also sent to each process itself. That is one
/// request; a second Ctrl-C is always another.
bool is_repetition(int signal) {
  constexpr time_t same_request = 5;  // seconds
  return signal != SIGINT && monotonic_seconds() - arrival_time <= same_request;
}

void on_interrupt(int signal) {
  if (arrived_signal == 0) {
    arrival_time = monotonic_seconds();
    arrived_signal = signal;
    write_interrupt_notice();
  } else if (in_scope == 0 && !is_repetition(signal)) {
    // The second one: the work does not come to a point where it looks, so end as if not handled.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

/// From now on the signal is a request; returns what has been done with it.
struct sigaction take_signal(int signal) {
  struct sigaction former = {};
  // A signal that the parent chose to ignore (nohup, a job in the background) stays ignored.
  if (sigaction(signal, nullptr, &former) == 0 && former.sa_handler == SIG_IGN) return former;
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
  return former;
}

}  // namespace

void install_interrupt_handlers() {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) take_signal(signal);
}

struct InterruptScope::State {
  std::vector<std::pair<int, struct sigaction>> former;
};

InterruptScope::InterruptScope(const std::vector<int>& signals)
    : state_(std::make_unique<State>()) {
  arrived_signal = 0;
  in_scope = 1;
  for (const int signal : signals) state_->former.emplace_back(signal, take_signal(signal));
}

InterruptScope::~InterruptScope() {
  for (const auto& [signal, action] : state_->former) sigaction(signal, &action, nullptr);
  arrived_signal = 0;
  in_scope = 0;
}

InterruptNotice::InterruptNotice(const std::string& line)
    : text_((stderr_is_terminal() ? "\r\033[K" : "") + line + "\n") {  // behind a bar
  interrupt_notice = text_.c_str();
}

InterruptNotice::~InterruptNotice() { interrupt_notice = nullptr; }

int pending_signal() { return arrived_signal; }

void check_interrupt() {
  if (arrived_signal != 0) throw Interrupted(arrived_signal);
}

}  // namespace edm2
