/// Many processes that work as one: meetings, sums over all, and what happens when one fails.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/process_environment.h"
#include "edm2/core/tensor.h"

namespace edm2 {

/// What ended the work of a group.
struct ProcessFailure {
  int rank = -1;  ///< who failed; -1: the launcher
  std::string host;
  std::string reason;
  int exit_code = 1;  ///< that all processes end with

  /// "rank 2 on node7: cannot write ...".
  std::string describe() const;
};

/// Another process of the group has failed; this one cannot go on.
class GroupError : public Error {
 public:
  explicit GroupError(ProcessFailure what, bool tells = true)
      : Error(what.describe()), failure(std::move(what)), tell(tells) {}
  ProcessFailure failure;
  bool tell;  ///< false: another process tells the user
};

/// How processes wait for each other, and what happens where that ends badly.
struct ProcessGroupOptions {
  /// Seconds that the processes wait for each other: at the start, and for a sum or an exchange. A
  /// process that gives no sign of life (killed, stopped, machine gone) is given up sooner.
  double time_limit = 600;
  /// Called once, from another thread, if a failure is known for a while and this process has not
  /// come to a call of this class that could throw it (it computes on, or hangs). `tell`: this
  /// process should tell the user. The program ends itself here; without it nothing happens.
  std::function<void(const ProcessFailure& failure, bool tell)> on_stuck;
};

/// The processes that were started together. All of them must make the same calls in the same
/// order; every call throws GroupError if another process fails, within the time limit.
///
/// On the CPU by Gloo, for CUDA tensors by NCCL (where all processes have it and a device of their
/// own; otherwise by way of the CPU). Sums are made in an order that depends only on the number of
/// processes and the tensor's size, so a repeated run gives the same bits; all processes get the
/// same bits.
class ProcessGroup {
 public:
  /// This process alone: no network, every call returns at once.
  static std::unique_ptr<ProcessGroup> single();

  /// Meets the others. Throws GroupError (with `tell` in one process alone where they have met but
  /// cannot connect) and Error (a port in use, processes that do not come, ...).
  explicit ProcessGroup(const ProcessEnvironment& environment, ProcessGroupOptions options = {});

  /// Says good-bye and waits until the others have done so, or one has failed.
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return environment_.rank; }
  int size() const { return environment_.size; }
  int local_rank() const { return environment_.local_rank; }
  bool is_main() const { return environment_.rank == 0; }

  /// Throws GroupError if another process is known to have failed; returns at once.
  void check();

  /// Returns when all processes have come here, however long that takes (downloads, large files),
  /// as long as all of them live.
  void barrier();

  /// What the first process finds out, downloads or makes, the others find done: it runs `work`
  /// before them. Returns what it returns.
  template <class Work>
  auto main_first(const Work& work) {
    if (!is_main()) barrier();
    auto result = work();
    if (is_main()) barrier();
    return result;
  }

  /// Replaces `tensor` (dense, of any shape) by the sum over all processes, with the same bits in
  /// all.
  void all_reduce_sum(const Tensor& tensor);

  /// A sum that goes on while this process computes. `tensor` must stay untouched until wait().
  class Reduction {
   public:
    Reduction() = default;
    /// After it the tensor holds the sum. Throws GroupError.
    void wait();

   private:
    friend class ProcessGroup;
    struct State;
    std::shared_ptr<State> state_;
  };
  /// Of a tensor of any shape. Several may be under way; all processes must start them in the same
  /// order.
  Reduction start_all_reduce_sum(const Tensor& tensor);

  /// Replaces `tensor` (same shape and type everywhere) by that of process `root`.
  void broadcast(const Tensor& tensor, int root = 0);
  /// The text that process `root` has.
  std::string broadcast(const std::string& text, int root = 0);

  /// The tensors (any shape and type; on the CPU) of all processes in the order of their ranks, on
  /// process `root`; empty elsewhere.
  std::vector<Tensor> gather(const Tensor& tensor, int root = 0);
  std::vector<std::string> gather(const std::string& text, int root = 0);

  /// Over all processes; the same on all.
  double sum(double value);
  double min(double value);
  double max(double value);

  /// Tells all others that this process ends with `exit_code`, and why. If another failure came
  /// first (or this is one) that one stands. Returns the failure that stands, and whether this
  /// process is the one to tell the user (rank 0 or, without it, another; never two of them).
  std::pair<ProcessFailure, bool> report_failure(const std::string& reason, int exit_code);

  /// The group has failed: what it was doing may hang, so the program should end at once.
  bool failed() const;

 private:
  struct Network;
  ProcessGroup();
  void connect_cuda(const Tensor& tensor);
  double reduce(double value, int operation);

  ProcessEnvironment environment_;
  std::unique_ptr<Network> network_;  // none: alone
};

/// libtorch's network code writes every lost connection to standard error, with a trace of calls. A
/// program that reports failures itself calls this once at its start; nothing is lost, as
/// TORCH_CPP_LOG_LEVEL in the environment brings it back.
void silence_libtorch_log();

}  // namespace edm2
