// Long: one protocol, whose two threads and the working one are to be read together.
#include "core/group_watch.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* nothing = "-";
constexpr double shortest_patience = 5;  // seconds
constexpr double tick = 0.25;

std::chrono::duration<double> seconds(double value) { return std::chrono::duration<double>(value); }

/// Time that this process has really had: what passed while it was stopped does not count.
class Stopwatch {
 public:
  double lap() {
    const auto now = Clock::now();
    const double passed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return std::min(passed, 2 * tick);
  }

 private:
  Clock::time_point last_ = Clock::now();
};

std::string host_name() {
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) != 0) return "this machine";
  return name;
}

std::string in_seconds(double value) { return format_number("%g s", value); }

double patience_of(const ProcessGroupOptions& options, double interval) {
  return std::max(std::clamp(options.time_limit / 2, shortest_patience, 60.0), 10 * interval);
}

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

std::string group_key(int attempt, const std::string& name) {
  return "edm2/" + std::to_string(attempt) + "/" + name;
}

std::string failure_to_text(const ProcessFailure& f) {
  const nlohmann::json json = {
      {"rank", f.rank}, {"host", f.host}, {"reason", f.reason}, {"exit_code", f.exit_code}};
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

ProcessFailure failure_from_text(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return {-1, "", "unknown", 1};
  return {json.value("rank", -1), json.value("host", ""), json.value("reason", ""),
          json.value("exit_code", 1)};
}

std::string ProcessFailure::describe() const {
  return (rank < 0 ? std::string("the launcher") : "rank " + std::to_string(rank)) + " on " + host +
         ": " + reason;
}

GroupWatch::GroupWatch(const ProcessEnvironment& environment, const ProcessGroupOptions& options,
                       c10d::Store& store)
    : environment_(environment),
      options_(options),
      runs_store_(environment.rank == 0 && !environment.launcher_has_store),
      // Every process reads of every other, so large groups talk less often.
      interval_(0.5 * std::max(1.0, environment.size / 32.0)),
      patience_(patience_of(options, interval_)),
      short_patience_(std::max(shortest_patience, 4 * interval_)),
      grace_(std::min(options.time_limit / 2 + 5, 120.0)),
      peers_(static_cast<size_t>(environment.size)) {
  join(store);
  store_ = store.clone();
  exchanging_ = true;
  exchange_ = std::thread([this] { exchange(); });
  supervise_ = std::thread([this] { supervise(); });
}

GroupWatch::~GroupWatch() { stop(); }

bool GroupWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (exchanging_ && unanswered_ > 2 * interval_ + 1) return false;
    stopping_ = true;
  }
  hurry_.notify_all();
  if (exchange_.joinable()) exchange_.join();
  if (supervise_.joinable()) supervise_.join();
  return true;
}

std::string GroupWatch::key(const std::string& name) const {
  return group_key(environment_.attempt, name);
}

// ---- the start ----

namespace {
/// The others, which look ten times a second, need not wait for a process that cannot take part.
[[noreturn]] void refuse(c10d::Store& store, const std::string& key, int rank,
                         const ProcessFailure& failure) {
  store.compareSet(key, bytes_of(nothing), bytes_of(failure_to_text(failure)));
  if (rank == 0) std::this_thread::sleep_for(milliseconds(500));
  throw GroupError(failure);
}
}  // namespace

void GroupWatch::join(c10d::Store& store) {
  const int rank = environment_.rank, size = environment_.size;
  const std::string failure_key = key("failure"), host = host_name();
  store.compareSet(failure_key, bytes_of(""), bytes_of(nothing));
  store.compareSet(key("told"), bytes_of(""), bytes_of(nothing));
  const std::string shape = std::to_string(size) + " processes of edm2 " EDM2_VERSION;
  const std::string agreed = text_of(store.compareSet(key("shape"), bytes_of(""), bytes_of(shape)));
  if (agreed != shape)
    refuse(store, failure_key, rank,
           {rank, host, "it is one of " + shape + ", another process one of " + agreed});
  if (store.add(key("arrived/" + std::to_string(rank)), 1) != 1)
    refuse(store, failure_key, rank,
           {rank, host,
            "two processes have this rank; give each its own, and end what is left of earlier "
            "runs"});
  store.set(key("alive/" + std::to_string(rank)), bytes_of("0 0 r"));
  store.set(key("host/" + std::to_string(rank)), bytes_of(host));

  Stopwatch watch;
  double waited = 0;
  for (int other = 0; other < size;) {
    const std::string name = key("host/" + std::to_string(other));
    if (store.check({name})) {
      hosts_.push_back(text_of(store.get(name)));
      ++other;
      continue;
    }
    check_interrupt();
    const std::string failure = text_of(store.get(failure_key));
    if (failure != nothing) refuse(store, failure_key, rank, failure_from_text(failure));
    if (waited > options_.time_limit)
      refuse(store, failure_key, rank,
             {rank, host,
              "rank " + std::to_string(other) + " has not come within " +
                  in_seconds(options_.time_limit) + "; were all " + std::to_string(size) +
                  " processes started?"});
    std::this_thread::sleep_for(milliseconds(waited < 1 ? 10 : 100));
    waited += watch.lap();
  }
}

// ---- the two threads ----

void GroupWatch::exchange() {
  Lock lock(mutex_);
  for (int64_t count = 1; !stopping_; ++count) {
    try {
      talk(count, lock);
    } catch (const std::exception&) {
      if (!lock.owns_lock()) lock.lock();
      lose_store();
      break;
    }
    // Others wait for what is said at the end.
    const double pause = leaving_ || failure_ ? interval_ / 10 : interval_;
    hurry_.wait_for(lock, seconds(pause), [this] { return stopping_ || urgent_; });
    urgent_ = false;
  }
  exchanging_ = false;
  changed_.notify_all();
}

void GroupWatch::talk(int64_t count, Lock& lock) {
  const State state = leaving_ ? State::left : failure_ && tell_ ? State::failed : State::running;
  const std::string line =
      std::to_string(count) + " " + std::to_string(meeting_) + " " + static_cast<char>(state);
  const auto proposal = failure_ ? std::nullopt : proposed_;
  const size_t size = peers_.size();
  lock.unlock();

  store_->set(key("alive/" + std::to_string(environment_.rank)), bytes_of(line));
  if (proposal)
    store_->compareSet(key("failure"), bytes_of(nothing), bytes_of(failure_to_text(*proposal)));
  std::vector<std::string> keys;
  for (size_t i = 0; i < size; ++i) keys.push_back(key("alive/" + std::to_string(i)));
  keys.push_back(key("failure"));
  keys.push_back(key("told"));
  const auto values = store_->multiGet(keys);

  lock.lock();
  unanswered_ = 0;
  said_ = state != State::running;
  for (size_t i = 0; i < size; ++i) {
    const std::string text = text_of(values[i]);
    Peer& peer = peers_[i];
    if (text == peer.line) continue;
    peer.line = text;
    peer.silent = 0;
    long long meeting = 0;
    char letter = 'r';
    if (std::sscanf(text.c_str(), "%*s %lld %c", &meeting, &letter) == 2) {
      peer.meeting = meeting;
      peer.state = static_cast<State>(letter);
    }
  }
  const std::string failure = text_of(values[size]);
  if (failure != nothing && !failure_) fail(failure_from_text(failure));
  if (failure_ && !tell_) claim_telling(text_of(values[size + 1]), lock);
  changed_.notify_all();
}

/// One process tells the user: rank 0, or who comes first if it does not take that on in time.
void GroupWatch::claim_telling(const std::string& told, Lock& lock) {
  if (told != nothing) {
    tell_ = told == std::to_string(environment_.rank);
    return;
  }
  const int rank = environment_.rank;
  if (rank != 0 && failed_for_ < 2 * interval_ + 2 + std::min(0.3 * rank, 5.0)) return;
  lock.unlock();
  const std::string winner =
      text_of(store_->compareSet(key("told"), bytes_of(nothing), bytes_of(std::to_string(rank))));
  lock.lock();
  tell_ = winner == std::to_string(rank);
}

void GroupWatch::supervise() {
  Lock lock(mutex_);
  Stopwatch watch;
  bool called = false;
  while (!stopping_) {
    // Not for urgent_: that is for the other thread.
    hurry_.wait_for(lock, seconds(tick), [this] { return stopping_; });
    look_around(watch.lap());
    if (failure_ && !noticed_ && failed_for_ > grace_ && options_.on_stuck && !called) {
      called = true;
      const ProcessFailure failure = *failure_;
      const bool tell = tell_.value_or(true);
      lock.unlock();
      options_.on_stuck(failure, tell);
      lock.lock();
    }
  }
}

void GroupWatch::look_around(double passed) {
  if (failure_) failed_for_ += passed;
  unanswered_ += passed;
  if (unanswered_ > patience_ && !failure_) lose_store();
  if (unanswered_ > 2 * interval_ + 1) return;  // nothing new is known of the others
  int64_t furthest = meeting_;
  for (const Peer& peer : peers_) furthest = std::max(furthest, peer.meeting);
  for (int rank = 0; rank < environment_.size; ++rank) {
    Peer& peer = peers_[static_cast<size_t>(rank)];
    if (rank == environment_.rank) continue;
    if (peer.state == State::left) {
      if (peer.meeting < furthest && !failure_ && !proposed_)
        propose(failure_of(rank, "it ended before the others"));
      continue;
    }
    peer.silent += passed;
    const double limit = suspicious_ ? std::min(patience_, short_patience_) : patience_;
    if (peer.silent > limit && !failure_ && !proposed_)
      propose(failure_of(rank, "it gives no sign of life for " + in_seconds(limit) +
                                   " (killed, stopped, or its machine cannot be reached)"));
  }
}

ProcessFailure GroupWatch::failure_of(int rank, const std::string& reason) const {
  return {rank, hosts_[static_cast<size_t>(rank)], reason, 1};
}

void GroupWatch::propose(ProcessFailure failure) {
  if (!proposed_) proposed_ = std::move(failure);
  urgent_ = true;
  hurry_.notify_all();
}

void GroupWatch::fail(ProcessFailure failure) {
  if (!failure_) failure_ = std::move(failure);
  changed_.notify_all();
}

void GroupWatch::lose_store() {
  ProcessFailure failure =
      failure_of(0, "it no longer answers (killed, stopped, or its machine cannot be reached)");
  if (environment_.launcher_has_store) {
    failure.rank = -1;
    failure.host = environment_.master_addr;
  }
  fail(failure);
  if (tell_) return;
  // The processes cannot agree on who tells the user, so the first one of every machine does.
  const int own = environment_.rank;
  const auto host = [&](int rank) { return hosts_[static_cast<size_t>(rank)]; };
  int first = 0;
  while (first < own && (first == failure.rank || host(first) != host(own))) ++first;
  tell_ = first == own;
}

// ---- the working thread ----

void GroupWatch::throw_failure(const Lock&) {
  noticed_ = true;
  throw GroupError(*failure_);
}

void GroupWatch::check() {
  const Lock lock(mutex_);
  if (failure_) throw_failure(lock);
}

bool GroupWatch::failed() const {
  const Lock lock(mutex_);
  return failure_.has_value();
}

void GroupWatch::begin_meeting() {
  const Lock lock(mutex_);
  if (failure_) throw_failure(lock);
  ++meeting_;
}

void GroupWatch::wake() {
  { const Lock lock(mutex_); }  // who looks at done() now must be asleep before the call
  changed_.notify_all();
}

void GroupWatch::wait(const std::function<bool()>& done, bool limited) {
  Lock lock(mutex_);
  Stopwatch watch;
  double waited = 0;
  while (!done()) {
    if (failure_) throw_failure(lock);
    changed_.wait_for(lock, seconds(tick));
    waited += watch.lap();
    if (!limited || waited <= options_.time_limit) continue;
    if (!proposed_) propose(late_process());
    if (waited > options_.time_limit + short_patience_) fail(*proposed_);
  }
}

/// Others may be late only because they wait for one that is lost, so the silent one is blamed
/// first.
ProcessFailure GroupWatch::late_process() const {
  const Peer *late = nullptr, *silent = nullptr;
  for (const Peer& peer : peers_) {
    if (&peer == &peers_[static_cast<size_t>(environment_.rank)]) continue;
    if (peer.meeting < meeting_ && (!late || peer.meeting < late->meeting)) late = &peer;
    if (peer.meeting <= meeting_ && peer.silent > 2 * interval_ + 1 &&
        (!silent || peer.silent > silent->silent))
      silent = &peer;
  }
  const std::string limit = "within the time limit of " + in_seconds(options_.time_limit);
  if (const Peer* blamed = silent ? silent : late)
    return failure_of(static_cast<int>(blamed - peers_.data()),
                      "it did not come to where the others wait " + limit);
  return failure_of(environment_.rank, "data from the others did not arrive " + limit);
}

bool GroupWatch::settle(Lock& lock, double limit, const std::function<bool()>& done) {
  Stopwatch watch;
  for (double waited = 0; !done() && waited < limit; waited += watch.lap())
    changed_.wait_for(lock, seconds(tick));
  return done();
}

void GroupWatch::explain(const std::string& error) {
  Lock lock(mutex_);
  suspicious_ = true;
  settle(lock, short_patience_ + 4 * interval_ + 1, [this] { return failure_.has_value(); });
  if (!failure_) propose(failure_of(environment_.rank, "communication failed: " + error));
  if (!settle(lock, short_patience_, [this] { return failure_.has_value(); })) fail(*proposed_);
  throw_failure(lock);
}

bool GroupWatch::others_know() const {
  for (int rank = 0; rank < environment_.size; ++rank) {
    const Peer& peer = peers_[static_cast<size_t>(rank)];
    if (rank != environment_.rank && peer.state == State::running && peer.silent < short_patience_)
      return false;
  }
  return true;
}

std::pair<ProcessFailure, bool> GroupWatch::report(const std::string& reason, int exit_code) {
  Lock lock(mutex_);
  noticed_ = true;
  if (!failure_) {
    ProcessFailure failure = failure_of(environment_.rank, reason);
    failure.exit_code = exit_code;
    propose(failure);
    if (!settle(lock, 2 * short_patience_, [this] { return failure_.has_value(); })) fail(failure);
  }
  urgent_ = true;
  hurry_.notify_all();
  if (!settle(lock, 3 * short_patience_, [this] { return tell_.has_value(); })) tell_ = true;
  settle(lock, short_patience_, [this] { return said_ || !exchanging_; });
  if (runs_store_)
    settle(lock, 2 * short_patience_, [this] { return others_know() || !exchanging_; });
  return {*failure_, *tell_};
}

void GroupWatch::leave() {
  Lock lock(mutex_);
  leaving_ = true;
  said_ = false;
  urgent_ = true;
  hurry_.notify_all();
  settle(lock, short_patience_, [this] { return said_ || !exchanging_; });
  const auto others_left = [this] {
    for (int rank = 0; rank < environment_.size; ++rank)
      if (rank != environment_.rank && peers_[static_cast<size_t>(rank)].state == State::running)
        return false;
    return true;
  };
  // Whoever is not done yet may still want something of this one's connections, or of its store.
  settle(lock, 1e9, [&] { return others_left() || failure_ || !exchanging_; });
  if (failure_ && runs_store_)
    settle(lock, 2 * short_patience_, [this] { return others_know() || !exchanging_; });
}

}  // namespace edm2
