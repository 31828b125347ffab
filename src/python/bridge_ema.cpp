#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"
#include "edm2/ema/snapshots.h"
#include "edm2/io/safetensors.h"
#include "python/arrays.h"
#include "python/bridge_parts.h"
#include "python/translate.h"

namespace edm2::python {
namespace {

namespace fs = std::filesystem;

class LibraryEma final : public Ema {
 public:
  LibraryEma(NamedArrays weights, std::vector<double> stds, std::vector<std::string> buffers)
      : ema_(to_tensors(std::move(weights)), std::move(stds), {buffers.begin(), buffers.end()}),
        buffers_(std::move(buffers)) {}

  void update(NamedArrays weights, int64_t nimg, int64_t batch) override {
    if (batch < 1 || nimg < batch)
      throw UsageError(
          "nimg counts the samples seen including this step's batch, which must be "
          "at least 1; got nimg " +
          std::to_string(nimg) + ", batch " + std::to_string(batch));
    translated([&] { ema_.update(checked(std::move(weights)), nimg, batch); });
  }
  void copy_buffers(NamedArrays weights) override {
    translated([&] { ema_.copy_buffers(checked(std::move(weights))); });
  }
  NamedArrays weights(size_t i) const override { return to_arrays(ema_.weights(i)); }

  std::vector<std::string> save(const std::string& folder, int64_t nimg,
                                const std::string& prefix) const override {
    return translated([&] {
      if (nimg < 1) throw UsageError("nimg must be at least 1");
      fs::create_directories(folder);
      std::vector<std::string> paths;
      for (size_t i = 0; i < ema_.stds().size(); ++i) {
        const SnapshotName name{prefix, kimg_from_nimg(nimg), ema_.stds()[i],
                                SnapshotFormat::safetensors};
        const fs::path path = fs::path(folder) / name.file_name();
        save_safetensors(path, ema_.weights(i), {{"buffers", nlohmann::json(buffers_).dump()}});
        paths.push_back(path.string());
      }
      return paths;
    });
  }

  void load(std::vector<double> stds, std::vector<NamedArrays> weights) override {
    check_stds(stds);
    std::vector<StateDict> copies;
    for (NamedArrays& arrays : weights) copies.push_back(to_tensors(std::move(arrays)));
    translated([&] { ema_.load(std::move(stds), copies); });
  }
  std::vector<double> stds() const override { return ema_.stds(); }

 private:
  /// The network's tensors, which must be those that the averages were begun with.
  StateDict checked(NamedArrays arrays) const {
    StateDict tensors = to_tensors(std::move(arrays));
    const StateDict& own = ema_.weights(0);
    bool same = tensors.size() == own.size();
    for (size_t i = 0; same && i < own.size(); ++i)
      same = tensors[i].first == own[i].first && tensors[i].second.sizes() == own[i].second.sizes();
    if (!same)
      throw UsageError("the network's tensors are not those that the averages were begun with");
    return tensors;
  }

  PowerFunctionEma ema_;
  std::vector<std::string> buffers_;  // which a reconstruction takes as they are
};

class LibrarySnapshots final : public Snapshots {
 public:
  LibrarySnapshots(const std::string& folder, SnapshotFilter filter)
      : snapshots_(folder, std::move(filter)) {}

  std::vector<SnapshotFact> files() const override {
    std::vector<SnapshotFact> facts;
    for (const SnapshotFile& file : snapshots_.files())
      facts.push_back({file.file_name, file.nimg, file.name.std});
    return facts;
  }
  std::vector<std::string> notes() const override { return snapshots_.notes(); }
  NamedArrays reconstruct(double std, std::optional<int64_t> nimg) override {
    check_stds({std});
    return translated([&] { return to_arrays(snapshots_.reconstruct_tensors(std, nimg)); });
  }
  std::pair<std::vector<double>, double> solve(double std, std::optional<int64_t> nimg) override {
    check_stds({std});
    const PostHocSolution& solution = snapshots_.solve(std, nimg);
    return {solution.coefficients, solution.error};
  }

 private:
  edm2::Snapshots snapshots_;
};

}  // namespace

void check_stds(const std::vector<double>& stds) {
  if (stds.empty()) throw UsageError("stds must hold at least one EMA length");
  for (const double std : stds)
    if (!(std > 0 && std < 0.289))
      throw UsageError("EMA lengths must be above 0 and below 0.289, not " + std::to_string(std));
}

std::unique_ptr<Ema> make_ema(NamedArrays weights, std::vector<double> stds,
                              std::vector<std::string> buffers) {
  check_stds(stds);
  return translated([&] {
    return std::make_unique<LibraryEma>(std::move(weights), std::move(stds), std::move(buffers));
  });
}

std::unique_ptr<Snapshots> open_snapshots(const std::string& folder,
                                          std::optional<std::string> prefix) {
  return translated([&] {
    SnapshotFilter filter;
    filter.prefix = std::move(prefix);
    return std::make_unique<LibrarySnapshots>(folder, std::move(filter));
  });
}

}  // namespace edm2::python
