#include "python/bridge.h"

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>
#include <c10/core/GradMode.h>
#include <torch/headeronly/version.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "edm2/analysis/file_info.h"
#include "edm2/core/device.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/ema/power_function.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/presets.h"
#include "edm2/generate/sampling_options.h"
#include "edm2/metrics/feature_pass.h"
#include "edm2/metrics/frechet.h"
#include "edm2/metrics/kernel_distance.h"
#include "edm2/metrics/manifold.h"
#include "edm2/metrics/statistics.h"
#include "python/arrays.h"
#include "python/bridge_parts.h"
#include "python/translate.h"

namespace edm2::python {
namespace {

FeatureStatistics to_statistics(Statistics given) {
  FeatureStatistics statistics{to_tensor(std::move(given.mu)).to(at::kCPU, at::kDouble),
                               to_tensor(std::move(given.sigma)).to(at::kCPU, at::kDouble)};
  const Tensor &mu = statistics.mu, &sigma = statistics.sigma;
  if (mu.dim() != 1 || sigma.dim() != 2 || sigma.size(0) != mu.size(0) ||
      sigma.size(1) != mu.size(0))
    throw UsageError("a mean [D] and a covariance [D,D] are wanted");
  return statistics;
}

Statistics from_statistics(const std::string& name, const FeatureStatistics& statistics) {
  return {name, to_array(statistics.mu), to_array(statistics.sigma)};
}

Tensor to_features(Array array) {
  Tensor features = to_tensor(std::move(array));
  if (features.dim() != 2 || !at::isFloatingType(features.scalar_type()))
    throw UsageError("features must be floating-point numbers [N,D]");
  return features;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

class LibraryBridge final : public Bridge {
 public:
  LibraryBridge() { make_matrix_products_reproducible(); }

  std::string version() const override { return EDM2_VERSION; }
  std::string built_for_torch() const override { return EDM2_LIBTORCH_VERSION; }
  void set_program_file(const std::string& path) override { set_executable_path(path); }
  void release(DLManagedTensor* array) const override { release_array(array); }

  std::unique_ptr<Sampler> sampler(const std::string& request_json, const ComputeOptions& compute,
                                   const Reporter& reporter) override {
    return make_sampler(request_json, compute, reporter);
  }
  std::unique_ptr<Denoiser> denoiser(const std::string& source, const ComputeOptions& compute,
                                     const Reporter& reporter) override {
    return make_python_denoiser(source, compute, reporter);
  }
  std::string sampling_options() const override {
    return nlohmann::ordered_json(edm2::sampling_options().describe()).dump();
  }
  std::string presets() const override {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const GeneratePreset& preset : generate_presets())
      list.push_back({{"name", preset.name},
                      {"net", preset.net},
                      {"gnet", preset.gnet ? nlohmann::ordered_json(*preset.gnet) : nullptr},
                      {"guidance", preset.guidance}});
    return dump(list);
  }

  std::unique_ptr<Ema> ema(NamedArrays weights, std::vector<double> stds,
                           std::vector<std::string> buffers) override {
    return make_ema(std::move(weights), std::move(stds), std::move(buffers));
  }
  std::unique_ptr<Snapshots> snapshots(const std::string& folder,
                                       std::optional<std::string> prefix) override {
    return open_snapshots(folder, std::move(prefix));
  }
  double std_to_exp(double std) const override {
    check_stds({std});
    return edm2::std_to_exp(std);
  }
  double exp_to_std(double exponent) const override {
    if (!(exponent >= 0)) throw UsageError("the exponent must be at least 0");
    return edm2::exp_to_std(exponent);
  }
  double power_function_beta(double std, int64_t t_next, int64_t t_delta) const override {
    check_stds({std});
    if (t_delta < 0 || t_next < 1 || t_delta > t_next)
      throw UsageError("a step ends at t_next >= 1 and takes 0 to t_next samples");
    return edm2::power_function_beta(std, t_next, t_delta);
  }

  std::unique_ptr<Detector> detector(const std::string& kind, const std::string& weights,
                                     const ComputeOptions& compute,
                                     const Reporter& reporter) override {
    return make_detector(kind, weights, compute, reporter);
  }
  std::unique_ptr<PictureSet> pictures(const std::string& path, std::optional<int64_t> max_size,
                                       int64_t seed) override {
    return open_picture_set(path, max_size, seed);
  }
  Statistics statistics(Array features) const override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      const Tensor rows = to_features(std::move(features));
      FeatureAccumulator accumulator(rows.size(1));
      accumulator.append(rows);
      return from_statistics("", accumulator.finish());
    });
  }
  std::pair<std::vector<Statistics>, std::optional<int64_t>> load_statistics(
      const std::string& path) const override {
    return translated([&] {
      const StatisticsFile file = edm2::load_statistics(path);
      std::vector<Statistics> list;
      for (const auto& [name, statistics] : file.metrics)
        list.push_back(from_statistics(name, statistics));
      return std::pair(std::move(list), file.num_images);
    });
  }
  void save_statistics(const std::string& path, std::vector<Statistics> statistics,
                       std::optional<int64_t> num_images) const override {
    translated([&] {
      StatisticsFile file;
      std::vector<std::string> names;
      for (Statistics& each : statistics) {
        const std::string name = names.emplace_back(each.name);
        file.metrics.emplace_back(name, to_statistics(std::move(each)));
      }
      file.num_images = num_images;
      check_statistics_path(path, names);
      edm2::save_statistics(path, file);
    });
  }
  double frechet_distance(Statistics a, Statistics b) const override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      return edm2::frechet_distance(to_statistics(std::move(a)), to_statistics(std::move(b))).value;
    });
  }
  Scored kernel_distance(Array x, Array y, int64_t subsets, int64_t subset_size,
                         int64_t seed) const override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      if (subsets < 1 || subset_size < 2) throw UsageError("subsets >= 1 of subset_size >= 2");
      const Tensor first = to_features(std::move(x)), second = to_features(std::move(y));
      const KernelDistance distance = edm2::kernel_distance(
          first, second, {subsets, subset_size, static_cast<uint32_t>(seed), first.device()});
      return Scored{distance.value, distance.deviation};
    });
  }
  std::vector<std::pair<std::string, Scored>> manifold_scores(
      Array generated, Array real, int64_t neighbors, int64_t density_neighbors) const override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      if (neighbors < 1 || density_neighbors < 1) throw UsageError("k must be at least 1");
      const Tensor first = to_features(std::move(generated)), second = to_features(std::move(real));
      const ManifoldScores scores =
          edm2::manifold_scores(first, second, {neighbors, density_neighbors, first.device()});
      const auto scored = [](const ManifoldScores::Share& share) {
        return Scored{share.value, share.error};
      };
      return std::vector<std::pair<std::string, Scored>>{{"precision", scored(scores.precision)},
                                                         {"recall", scored(scores.recall)},
                                                         {"density", scored(scores.density)},
                                                         {"coverage", scored(scores.coverage)}};
    });
  }
  NamedArrays load_features(const std::string& path) const override {
    return translated([&] { return to_arrays(edm2::load_features(path)); });
  }

  std::unique_ptr<Dataset> dataset(const std::string& path, bool use_labels,
                                   std::optional<int64_t> max_size, bool xflip,
                                   int64_t seed) override {
    return open_dataset(path, use_labels, max_size, xflip, seed);
  }
  std::string info(const std::string& path, bool layers, bool values, bool offline) override {
    return translated([&] {
      const auto quiet = make_progress(ProgressStyle::quiet);
      const auto file = find_network_file(path, {.offline = offline}, *quiet);
      return dump(describe_file(file, {layers, values}));
    });
  }

  CommandEnd run(const std::vector<std::string>& words,
                 const std::function<void(int fd, const std::string& text)>& print) override {
    return run_words(words, print);
  }
  std::vector<CommandOption> command_options(const std::vector<std::string>& command) override {
    return list_command_options(command);
  }

  void begin_interrupts(bool all) override {
    interrupts_.emplace(all ? std::vector<int>{SIGINT, SIGTERM, SIGUSR1} : std::vector{SIGINT});
  }
  int end_interrupts() override {
    const int arrived = pending_signal();
    interrupts_.reset();
    return arrived;
  }

 private:
  std::optional<InterruptScope> interrupts_;
};

}  // namespace
}  // namespace edm2::python

edm2::python::Bridge* edm2_python_bridge(int version) {
  static edm2::python::LibraryBridge bridge;
  return version == edm2::python::bridge_version ? &bridge : nullptr;
}

int edm2_program_main(int argc, const char* const* argv) {
  return edm2::cli::run_program(argc, argv);
}
