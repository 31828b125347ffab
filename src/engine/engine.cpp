#include "edm2/engine/engine.h"

#include <ATen/ATen.h>

#include "core/side_library.h"
#include "edm2/core/error.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/network.h"
#include "engine/cpu_network.h"
#include "engine/cuda_graph.h"
#include "engine/cuda_network.h"

namespace edm2 {
namespace {

/// A folded network, CpuNetwork or CudaNetwork, behind the common interface.
template <class Network>
class Engine : public Denoiser {
 public:
  template <class... Arguments>
  Engine(StoredSnapshot snapshot, c10::Device device, Arguments&&... arguments)
      : options_(snapshot.description().network),
        device_(device),
        network_(std::move(snapshot), std::forward<Arguments>(arguments)...) {}

  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) override {
    // Kernels rely on the sizes.
    const int64_t size = options_.img_resolution, sigmas = sigma.numel();
    TORCH_CHECK(
        x.dim() == 4 && x.sizes().slice(1) == at::IntArrayRef({options_.img_channels, size, size}),
        "the network takes images [N,", options_.img_channels, ",", size, ",", size, "], not ",
        x.sizes());
    TORCH_CHECK(sigmas == 1 || sigmas == x.size(0),
                "sigma must be one number or one for each image");
    Tensor rows;
    if (options_.label_dim > 0)
      rows =
          labels.defined()
              ? labels.to(device_, at::kFloat).reshape({-1, options_.label_dim}).contiguous()
              : at::zeros({1, options_.label_dim}, at::TensorOptions(at::kFloat).device(device_));
    TORCH_CHECK(!rows.defined() || rows.size(0) == 1 || rows.size(0) == x.size(0),
                "labels must be one vector or one for each image");
    return network_.denoise(x.to(at::kFloat), sigma.to(device_, at::kFloat).reshape({-1}), rows);
  }

  int64_t img_channels() const override { return options_.img_channels; }
  int64_t img_resolution() const override { return options_.img_resolution; }
  int64_t label_dim() const override { return options_.label_dim; }
  c10::Device device() const override { return device_; }

 private:
  NetworkOptions options_;
  c10::Device device_;
  Network network_;
};

/// Of the library edm2_cuda; null if it is not there.
const cuda_passes::Passes* passes_on_cuda() {
  using Ask = const cuda_passes::Passes* (*)(int version);
  static const auto ask =
      reinterpret_cast<Ask>(find_in_side_library("libedm2_cuda.so", "edm2_cuda_passes"));
  return ask != nullptr ? ask(cuda_passes::passes_version) : nullptr;
}

}  // namespace

EngineKind parse_engine(const std::string& name) {
  if (name == "auto") return EngineKind::automatic;
  if (name == "fast") return EngineKind::fast;
  if (name == "int8") return EngineKind::int8;
  if (name == "reference") return EngineKind::reference;
  throw UsageError("'" + name + "' is not one of 'auto', 'fast', 'int8', 'reference'.");
}

bool engine_takes(const NetworkOptions& options, Precision precision, c10::Device device,
                  EngineKind kind) {
  if (kind == EngineKind::reference || !can_fold(options)) return false;
  if (device.is_cuda()) return kind == EngineKind::fast && passes_on_cuda() != nullptr;
  const auto dtype = activation_dtype(precision, options.use_fp16, device);
  return device.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16);
}

std::shared_ptr<Denoiser> make_denoiser(StoredSnapshot snapshot, Precision precision,
                                        c10::Device device, EngineKind kind) {
  const NetworkOptions& options = snapshot.description().network;
  if (kind == EngineKind::int8 &&
      (!device.is_cpu() || activation_dtype(precision, options.use_fp16, device) != at::kFloat))
    throw UsageError(
        "weights of 8 bits are for the CPU and float32: --device=cpu --precision=fp32");
  if (engine_takes(options, precision, device, kind)) {
    const auto dtype = activation_dtype(precision, options.use_fp16, device);
    if (device.is_cuda())
      return std::make_shared<Engine<CudaNetwork>>(std::move(snapshot), device, dtype, device,
                                                   *passes_on_cuda(), cuda_graph_recorder(device));
    return std::make_shared<Engine<CpuNetwork>>(std::move(snapshot), device, dtype,
                                                cpu_convolutions(dtype, kind));
  }
  std::shared_ptr<Precond> network;
  {
    const Snapshot whole = std::move(snapshot).load();
    const std::string damaged = first_not_finite(whole.tensors);
    if (!damaged.empty()) throw NotFiniteError(damaged);
    network = std::make_shared<Precond>(whole);
  }
  network->precision = precision;
  network->to(device);
  return network;
}

}  // namespace edm2
