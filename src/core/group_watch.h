// Who of a group of processes lives, how far each has come, and what failed: kept in a key-value
// store that all of them reach, by two threads beside the one that works.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <utility>
#include <vector>

#include "edm2/core/process_group.h"

namespace edm2 {

/// Every process writes a line "count meeting state" twice a second and reads those of all others.
/// Who does not write for a while is lost; the first failure that is put into the store stands.
class GroupWatch {
 public:
  /// Waits for all processes to come. Throws Error. `store` is used until this returns.
  GroupWatch(const ProcessEnvironment& environment, const ProcessGroupOptions& options,
             c10d::Store& store);
  /// leave() or report() first.
  ~GroupWatch();
  GroupWatch(const GroupWatch&) = delete;
  GroupWatch& operator=(const GroupWatch&) = delete;

  /// Names of the machines, by rank.
  const std::vector<std::string>& hosts() const { return hosts_; }

  /// Throws GroupError if a failure is known.
  void check();
  bool failed() const;

  /// This process comes to its next meeting (a collective) with all others.
  void begin_meeting();
  /// Sleeps until done() or a failure, which it throws; `limited`: the time limit holds. Who makes
  /// done() true calls wake().
  void wait(const std::function<bool()>& done, bool limited);
  void wake();
  /// A meeting broke with this error: finds out who caused it and throws that.
  [[noreturn]] void explain(const std::string& error);

  /// See ProcessGroup::report_failure.
  std::pair<ProcessFailure, bool> report(const std::string& reason, int exit_code);
  /// Says that this process is done, and waits until the others are, too, or have failed.
  void leave();
  /// Ends the threads, unless the store does not answer one of them: returns false then, and this
  /// must not be destroyed.
  bool stop();

 private:
  enum class State : char { running = 'r', failed = 'f', left = 'l' };
  struct Peer {
    std::string line;  // as last read
    int64_t meeting = 0;
    State state = State::running;
    double silent = 0;  // seconds since the line changed
  };
  using Lock = std::unique_lock<std::mutex>;

  void join(c10d::Store& store);
  void exchange();   // thread: talks to the store
  void supervise();  // thread: looks at the clock, never waits for the store
  void talk(int64_t count, Lock& lock);
  void claim_telling(const std::string& told, Lock& lock);
  void look_around(double seconds);

  std::string key(const std::string& name) const;
  ProcessFailure failure_of(int rank, const std::string& reason) const;
  ProcessFailure late_process() const;
  void propose(ProcessFailure failure);
  void fail(ProcessFailure failure);
  void lose_store();
  bool others_know() const;
  [[noreturn]] void throw_failure(const Lock& lock);
  /// Waits for `done` up to `seconds`, whatever has failed; true if it came.
  bool settle(Lock& lock, double seconds, const std::function<bool()>& done);

  const ProcessEnvironment environment_;
  const ProcessGroupOptions options_;
  const bool runs_store_;
  // Seconds: between signs of life, until a silent process is given up, until one that is under
  // suspicion is, and until a process that does not notice a failure is ended.
  const double interval_, patience_, short_patience_, grace_;
  std::vector<std::string> hosts_;         // by rank
  c10::intrusive_ptr<c10d::Store> store_;  // of exchange() alone

  mutable std::mutex mutex_;         // guards all below
  std::condition_variable changed_;  // something that the working thread may wait for
  std::condition_variable hurry_;    // something that the other threads should act on
  std::vector<Peer> peers_;          // by rank
  int64_t meeting_ = 0;
  double unanswered_ = 0;    // seconds since the store last answered
  bool suspicious_ = false;  // a meeting broke, so a process that is silent is not just slow
  bool leaving_ = false, stopping_ = false, said_ = false, urgent_ = false;
  std::optional<ProcessFailure> proposed_, failure_;
  std::optional<bool> tell_;  // whether this process tells the user; none: not settled
  bool noticed_ = false;      // the working thread knows of the failure
  bool exchanging_ = false;
  double failed_for_ = 0;
  std::thread exchange_, supervise_;
};

/// Name of a key that the launcher uses too: "failure" (a record, or "-") and "told" (who tells the
/// user, or "-").
std::string group_key(int attempt, const std::string& name);
std::string failure_to_text(const ProcessFailure& failure);
ProcessFailure failure_from_text(const std::string& text);

}  // namespace edm2
