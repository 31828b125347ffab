#include "train/training_state.h"

#include <ATen/ATen.h>

#include <bit>
#include <cstdio>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/io/torch_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr const char* more_entry = "edm2.json";

PickleValue loss_to_pickle(const LossOptions& loss) {
  return PickleValue::dict(
      {{"P_mean", loss.P_mean},
       {"P_std", loss.P_std},
       {"sigma_data", loss.sigma_data},
       {"_init_args", PickleValue::tuple()},
       {"_init_kwargs", PickleValue::dict({{"P_mean", loss.P_mean}, {"P_std", loss.P_std}})}});
}

PickleValue optimizer_to_pickle(const Adam& optimizer, double lr) {
  PickleValue states = PickleValue::dict();
  PickleValue indices = PickleValue::list();
  for (size_t i = 0; i < optimizer.moments.size(); ++i) {
    const auto& moments = optimizer.moments[i];
    const auto index = static_cast<int64_t>(i);
    indices.append(index);
    if (moments.step == 0) continue;  // PyTorch makes a parameter's state in its first step
    const Tensor step = at::scalar_tensor(static_cast<double>(moments.step), at::kFloat);
    states.set(index, PickleValue::dict({{"step", step},
                                         {"exp_avg", moments.exp_avg},
                                         {"exp_avg_sq", moments.exp_avg_sq}}));
  }
  const PickleValue group =
      PickleValue::dict({{"lr", lr},
                         {"betas", PickleValue::tuple({optimizer.beta1, optimizer.beta2})},
                         {"eps", optimizer.eps},
                         {"weight_decay", 0},
                         {"amsgrad", false},
                         {"maximize", false},
                         {"foreach", PickleValue()},
                         {"capturable", false},
                         {"differentiable", false},
                         {"fused", PickleValue()},
                         {"decoupled_weight_decay", false},
                         {"params", indices}});
  return PickleValue::dict({{"state", states}, {"param_groups", PickleValue::list({group})}});
}

void optimizer_from_pickle(const PickleValue& value, Adam& optimizer) {
  const auto& groups = value.at("param_groups").elements();
  if (groups.size() != 1) throw Error("the optimizer does not have one parameter group");
  const PickleValue& group = groups.front();
  const auto betas = group.at("betas").as_doubles();
  if (betas.size() != 2) throw Error("the optimizer's betas are not two numbers");
  optimizer.beta1 = betas[0];
  optimizer.beta2 = betas[1];
  optimizer.eps = group.at("eps").as_double();
  const PickleValue& states = value.at("state");
  for (size_t i = 0; i < optimizer.moments.size(); ++i) {
    auto& moments = optimizer.moments[i];
    const PickleValue* state = states.find(static_cast<int64_t>(i));
    if (state == nullptr) continue;
    const PickleValue& step = state->at("step");
    moments.step =
        step.is_tensor() ? static_cast<int64_t>(step.as_tensor().item<double>()) : step.as_int();
    const Tensor &avg = state->at("exp_avg").as_tensor(),
                 &avg_sq = state->at("exp_avg_sq").as_tensor();
    if (avg.sizes() != moments.exp_avg.sizes() || avg_sq.sizes() != moments.exp_avg.sizes())
      throw Error("the optimizer's state of parameter " + std::to_string(i) +
                  " has another shape than the network's");
    moments.exp_avg.copy_(avg);
    moments.exp_avg_sq.copy_(avg_sq);
  }
}

/// 40 digits that PyTorch uses to tell files apart.
std::string identification(int64_t cur_nimg, double elapsed) {
  char digits[64];
  std::snprintf(digits, sizeof digits, "%020llu%020llu",
                static_cast<unsigned long long>(tuple_hash({cur_nimg})),
                static_cast<unsigned long long>(std::bit_cast<uint64_t>(elapsed)));
  return digits;
}

nlohmann::json read_more(const fs::path& path) {
  const MappedFile file(path);
  const auto text = read_torch_extra(file.bytes(), more_entry);
  if (!text) return nullptr;
  auto more = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!more.is_object()) throw Error(std::string("its entry ") + more_entry + " is not JSON");
  return more;
}

}  // namespace

std::string training_state_name(int64_t cur_nimg) {
  char name[64];
  std::snprintf(name, sizeof name, "training-state-%07lld.pt",
                static_cast<long long>(cur_nimg / 1000));
  return name;
}

void save_training_state(const fs::path& path, const RunProgress& progress, Precond& network,
                         const LossOptions& loss, double lr, const Adam& optimizer,
                         const PowerFunctionEma& ema) {
  PickleValue stds = PickleValue::list(), emas = PickleValue::list();
  for (size_t i = 0; i < ema.stds().size(); ++i) {
    stds.append(ema.stds()[i]);
    emas.append(to_pickle(ema.weights(i)));
  }
  const double elapsed = progress.total_elapsed_time;
  const PickleValue root = PickleValue::dict(
      {{"state",
        PickleValue::dict({{"cur_nimg", progress.cur_nimg}, {"total_elapsed_time", elapsed}})},
       {"net", to_pickle(network.state_dict())},
       {"loss_fn", loss_to_pickle(loss)},
       {"optimizer", optimizer_to_pickle(optimizer, lr)},
       {"ema", PickleValue::dict({{"stds", stds}, {"emas", emas}})}});
  std::map<std::string, std::string> extra = {
      {".data/serialization_id", identification(progress.cur_nimg, elapsed)}};
  if (!progress.more.is_null()) extra[more_entry] = progress.more.dump(1);
  save_torch_file(path, root, extra);
}

RunProgress load_training_state(const fs::path& path, Precond& network, LossOptions& loss,
                                Adam& optimizer, PowerFunctionEma& ema) {
  return load_training_state(path, load_torch_file(path), network, loss, optimizer, ema);
}

RunProgress load_training_state(const fs::path& path, const PickleValue& root, Precond& network,
                                LossOptions& loss, Adam& optimizer, PowerFunctionEma& ema) {
  try {
    RunProgress progress;
    progress.more = read_more(path);
    progress.cur_nimg = root.at("state").at("cur_nimg").as_int();
    progress.total_elapsed_time = root.at("state").at("total_elapsed_time").as_double();
    network.load_state_dict(to_state_dict(root.at("net")));
    const PickleValue& saved_loss = root.at("loss_fn");
    loss.P_mean = saved_loss.at("P_mean").as_double();
    loss.P_std = saved_loss.at("P_std").as_double();
    loss.sigma_data = saved_loss.at("sigma_data").as_double();
    optimizer_from_pickle(root.at("optimizer"), optimizer);
    std::vector<StateDict> copies;
    for (const auto& copy : root.at("ema").at("emas").elements())
      copies.push_back(to_state_dict(copy));
    ema.load(root.at("ema").at("stds").as_doubles(), copies);
    return progress;
  } catch (const Error& error) {
    throw Error("cannot resume from '" + path.string() + "': " + error.what());
  }
}

}  // namespace edm2
