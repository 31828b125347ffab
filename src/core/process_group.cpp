#include "edm2/core/process_group.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/gloo_backend.h"
#include "core/group_watch.h"
#include "core/nccl_loader.h"
#include "core/network_interfaces.h"

namespace edm2 {
namespace {

using StorePointer = c10::intrusive_ptr<c10d::Store>;
using BackendPointer = c10::intrusive_ptr<c10d::Backend>;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// Errors of libtorch carry a trace of calls, which is of no use to the user.
std::string short_message(const std::exception& error) {
  if (const auto* c10_error = dynamic_cast<const c10::Error*>(&error))
    return first_line(c10_error->what_without_backtrace());
  return first_line(error.what());
}

/// Connects to the store, which this process runs itself if it is rank 0 and no launcher does.
StorePointer connect_to_store(const ProcessEnvironment& environment, double time_limit) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(environment.master_port);
  options.isServer = environment.rank == 0 && !environment.launcher_has_store;
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(static_cast<int64_t>(time_limit * 1000));
  const std::string address =
      environment.master_addr + ":" + std::to_string(environment.master_port);
  try {
    return c10::make_intrusive<c10d::TCPStore>(environment.master_addr, options);
  } catch (const std::exception& error) {
    const std::string reason = short_message(error);
    const std::string who = "rank " + std::to_string(environment.rank) + ": ";
    if (reason.find("EADDRINUSE") != std::string::npos)
      throw Error(who + "port " + std::to_string(environment.master_port) +
                  " of this machine is in use; set MASTER_PORT to a free one for all processes");
    if (options.isServer)
      throw Error(who + "cannot listen on port " + std::to_string(environment.master_port) + ": " +
                  reason);
    throw Error(who + "cannot reach " +
                (environment.launcher_has_store ? "the launcher" : "rank 0") + " at " + address +
                " (" + reason + "); check MASTER_ADDR and MASTER_PORT, and that it runs");
  }
}

}  // namespace

struct ProcessGroup::Network {
  StorePointer store;  // goes last: rank 0's runs the server
  std::unique_ptr<GroupWatch> watch;
  BackendPointer gloo, nccl;
  bool asked_for_nccl = false;
};

struct ProcessGroup::Reduction::State {
  GroupWatch* watch = nullptr;
  c10::intrusive_ptr<c10d::Work> work;
  Tensor target, staged;  // staged: what is summed in place of a CUDA tensor that NCCL cannot take
};

namespace {

/// Starts an operation of a backend. libtorch's flight recorder, which notes each of them, is one
/// for all groups of the process and lets threads write over each other.
template <class Operation>
auto enqueue(const Operation& operation) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return operation();
}

/// Waits for `work` on the CPU, and throws who is to blame if it fails.
void finish(GroupWatch& watch, c10d::Work& work, bool limited) {
  try {
    const auto future = work.getFuture();
    future->addCallback([&watch](c10::ivalue::Future&) { watch.wake(); });
    watch.wait([&] { return future->completed(); }, limited);
    work.wait();
  } catch (const GroupError&) {
    throw;
  } catch (const std::exception& error) {
    watch.explain(short_message(error));
  }
}

/// Gloo connects in its constructor, which must not hang if another process fails meanwhile.
BackendPointer connect_gloo(const ProcessEnvironment& environment, const StorePointer& store,
                            GroupWatch& watch) {
  const auto prefixed =
      c10::make_intrusive<c10d::PrefixStore>(group_key(environment.attempt, "gloo"), store);
  struct Attempt {
    BackendPointer backend;
    std::exception_ptr error;
    std::atomic<bool> done = false;
  };
  const auto attempt = std::make_shared<Attempt>();
  watch.begin_meeting();
  std::thread connecting([environment, prefixed, attempt, &watch] {
    try {
      attempt->backend = make_gloo_backend(prefixed, environment.rank, environment.size,
                                           own_address(environment.master_addr));
    } catch (...) {
      attempt->error = std::current_exception();
    }
    attempt->done = true;
    watch.wake();
  });
  try {
    watch.wait([&] { return attempt->done.load(); }, /*limited=*/true);
  } catch (...) {
    connecting.detach();  // the group has failed, and its Network stays
    throw;
  }
  connecting.join();
  if (attempt->error) {
    try {
      std::rethrow_exception(attempt->error);
    } catch (const std::exception& error) {
      watch.explain(short_message(error));
    }
  }
  return attempt->backend;
}

}  // namespace

ProcessGroup::ProcessGroup() = default;

std::unique_ptr<ProcessGroup> ProcessGroup::single() {
  return std::unique_ptr<ProcessGroup>(new ProcessGroup);
}

ProcessGroup::ProcessGroup(const ProcessEnvironment& environment, ProcessGroupOptions options)
    : environment_(environment) {
  if (environment.size == 1) return;
  network_ = std::make_unique<Network>();
  network_->store = connect_to_store(environment, options.time_limit);
  try {
    network_->watch = std::make_unique<GroupWatch>(environment, options, *network_->store);
  } catch (const c10::Error& error) {
    throw Error("rank " + std::to_string(environment.rank) +
                ": the group cannot come together: " + short_message(error));
  }
  try {
    static_cast<void>(gloo_interfaces());  // says what is wrong with them, before Gloo does
    network_->gloo = connect_gloo(environment, network_->store, *network_->watch);
  } catch (const Error& error) {
    const auto [failure, tell] = network_->watch->report(error.what(), 1);
    static_cast<void>(network_.release());  // a thread still uses it
    throw GroupError(failure, tell);
  } catch (...) {
    static_cast<void>(network_.release());
    throw;
  }
}

ProcessGroup::~ProcessGroup() {
  if (!network_) return;
  network_->watch->leave();
  // After a failure, threads of Gloo or NCCL may wait for data that never comes, and tell the watch
  // when they give up; nothing that they know can be destroyed.
  const bool failed = network_->watch->failed();
  if (!network_->watch->stop() || failed) static_cast<void>(network_.release());
}

void ProcessGroup::check() {
  if (network_) network_->watch->check();
}

bool ProcessGroup::failed() const { return network_ && network_->watch->failed(); }

std::pair<ProcessFailure, bool> ProcessGroup::report_failure(const std::string& reason,
                                                             int exit_code) {
  if (!network_) return {{0, "this machine", reason, exit_code}, true};
  return network_->watch->report(reason, exit_code);
}

void ProcessGroup::barrier() {
  if (!network_) return;
  network_->watch->begin_meeting();
  std::vector<Tensor> token = {at::zeros({1}, at::kInt)};
  finish(*network_->watch, *enqueue([&] { return network_->gloo->allreduce(token); }),
         /*limited=*/false);
}

/// At the first CUDA tensor: connects by NCCL, if all processes have it and a device of their own.
/// All of them come here at the same call.
void ProcessGroup::connect_cuda(const Tensor& tensor) {
  if (!tensor.is_cuda() || network_->asked_for_nccl) return;
  network_->asked_for_nccl = true;
  const auto device = static_cast<int>(tensor.get_device());
  std::string place = network_->watch->hosts()[static_cast<size_t>(rank())];
  place += ":" + std::to_string(device) + (nccl_is_there() ? "" : " without NCCL");
  const auto places = gather(place);
  bool usable = true;
  for (size_t i = 0; i < places.size(); ++i)
    usable = usable && !places[i].ends_with(" without NCCL") &&
             std::find(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(i),
                       places[i]) == places.begin() + static_cast<std::ptrdiff_t>(i);
  if (broadcast(std::string(usable ? "yes" : "no")) == "no") return;
  const auto store = c10::make_intrusive<c10d::PrefixStore>(group_key(environment_.attempt, "nccl"),
                                                            network_->store);
  network_->nccl = make_nccl_backend(store, rank(), size(), device);
}

ProcessGroup::Reduction ProcessGroup::start_all_reduce_sum(const Tensor& tensor) {
  Reduction reduction;
  if (!network_ || tensor.numel() == 0) return reduction;
  TORCH_CHECK(tensor.is_contiguous(), "[all_reduce_sum] the tensor must be contiguous");
  connect_cuda(tensor);
  network_->watch->begin_meeting();
  reduction.state_ = std::make_shared<Reduction::State>();
  auto& state = *reduction.state_;
  state.watch = network_->watch.get();
  state.target = tensor.detach();
  if (tensor.is_cuda() && !network_->nccl) state.staged = state.target.cpu();
  std::vector<Tensor> operand = {state.staged.defined() ? state.staged : state.target};
  const BackendPointer& backend = operand[0].is_cuda() ? network_->nccl : network_->gloo;
  state.work = enqueue([&] { return backend->allreduce(operand); });
  return reduction;
}

void ProcessGroup::Reduction::wait() {
  if (!state_) return;
  const auto state = std::move(state_);
  state_ = nullptr;
  if (state->target.is_cuda() && !state->staged.defined()) {
    state->watch->check();
    try {
      state->work->wait();  // for the stream, not for this thread
    } catch (const std::exception& error) {
      state->watch->explain(short_message(error));
    }
    return;
  }
  finish(*state->watch, *state->work, /*limited=*/true);
  if (state->staged.defined()) state->target.copy_(state->staged);
}

void ProcessGroup::all_reduce_sum(const Tensor& tensor) { start_all_reduce_sum(tensor).wait(); }

void ProcessGroup::broadcast(const Tensor& tensor, int root) {
  if (!network_ || tensor.numel() == 0) return;
  connect_cuda(tensor);
  network_->watch->begin_meeting();
  const Tensor target = tensor.detach();
  c10d::BroadcastOptions options;
  options.rootRank = root;
  if (target.is_cuda() && network_->nccl) {
    std::vector<Tensor> operand = {target};
    enqueue([&] { return network_->nccl->broadcast(operand, options); })->wait();
    return;
  }
  const Tensor local = target.cpu().contiguous();
  std::vector<Tensor> operand = {local};
  finish(*network_->watch, *enqueue([&] { return network_->gloo->broadcast(operand, options); }),
         /*limited=*/true);
  if (!local.is_same(target)) target.copy_(local);
}

namespace {
Tensor bytes_of(const std::string& text) {
  const Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::memcpy(bytes.data_ptr(), text.data(), text.size());
  return bytes;
}

std::string text_of(const Tensor& bytes) {
  return {static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.numel())};
}
}  // namespace

std::string ProcessGroup::broadcast(const std::string& text, int root) {
  if (!network_) return text;
  const Tensor size = at::full({1}, static_cast<int64_t>(text.size()), at::kLong);
  broadcast(size, root);
  const Tensor bytes =
      rank() == root ? bytes_of(text) : at::empty({size.item<int64_t>()}, at::kByte);
  broadcast(bytes, root);
  return text_of(bytes);
}

std::vector<Tensor> ProcessGroup::gather(const Tensor& tensor, int root) {
  if (!network_) return {tensor};
  const auto gather_equal = [&](const Tensor& part) {
    network_->watch->begin_meeting();
    std::vector<Tensor> input = {part};
    std::vector<std::vector<Tensor>> outputs;
    if (rank() == root) {
      outputs.emplace_back();
      for (int i = 0; i < size(); ++i) outputs[0].push_back(at::empty_like(part));
    }
    c10d::GatherOptions options;
    options.rootRank = root;
    finish(*network_->watch,
           *enqueue([&] { return network_->gloo->gather(outputs, input, options); }),
           /*limited=*/true);
    return outputs.empty() ? std::vector<Tensor>() : outputs[0];
  };
  // Gloo gathers equal sizes: first everyone's type and shape, then the bytes, filled up.
  constexpr int64_t max_dimensions = 8;
  TORCH_CHECK(tensor.dim() <= max_dimensions && tensor.device().is_cpu(),
              "[gather] a CPU tensor of at most 8 dimensions is expected");
  const Tensor local = tensor.detach().contiguous();
  const auto bytes = static_cast<int64_t>(local.nbytes());
  const Tensor shape = at::zeros({max_dimensions + 2}, at::kLong);
  shape[0] = static_cast<int64_t>(local.scalar_type());
  shape[1] = local.dim();
  for (int64_t i = 0; i < local.dim(); ++i) shape[2 + i] = local.size(i);
  const auto shapes = gather_equal(shape);
  const auto longest = static_cast<int64_t>(max(static_cast<double>(bytes)));
  const Tensor padded = at::zeros({longest}, at::kByte);
  std::memcpy(padded.data_ptr(), local.const_data_ptr(), static_cast<size_t>(bytes));
  std::vector<Tensor> parts =
      longest > 0 ? gather_equal(padded) : std::vector<Tensor>(shapes.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto type = static_cast<at::ScalarType>(shapes[i][0].item<int64_t>());
    const std::vector<int64_t> sizes(
        shapes[i].const_data_ptr<int64_t>() + 2,
        shapes[i].const_data_ptr<int64_t>() + 2 + shapes[i][1].item<int64_t>());
    const Tensor part = at::empty(sizes, type);
    if (part.nbytes() > 0) std::memcpy(part.data_ptr(), parts[i].const_data_ptr(), part.nbytes());
    parts[i] = part;
  }
  return parts;
}

std::vector<std::string> ProcessGroup::gather(const std::string& text, int root) {
  std::vector<std::string> texts;
  for (const Tensor& bytes : gather(bytes_of(text), root)) texts.push_back(text_of(bytes));
  return texts;
}

double ProcessGroup::reduce(double value, int operation) {
  if (!network_) return value;
  network_->watch->begin_meeting();
  std::vector<Tensor> operand = {at::full({1}, value, at::kDouble)};
  c10d::AllreduceOptions options;
  options.reduceOp = static_cast<c10d::ReduceOp::RedOpType>(operation);
  finish(*network_->watch, *enqueue([&] { return network_->gloo->allreduce(operand, options); }),
         /*limited=*/true);
  return operand[0].item<double>();
}

double ProcessGroup::sum(double value) { return reduce(value, c10d::ReduceOp::SUM); }
double ProcessGroup::min(double value) { return reduce(value, c10d::ReduceOp::MIN); }
double ProcessGroup::max(double value) { return reduce(value, c10d::ReduceOp::MAX); }

void silence_libtorch_log() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = 4;  // above FATAL
}

}  // namespace edm2
