// Reference statistics: the original's pickles, the .npz files of its predecessors, and their kin.
#include <ATen/ATen.h>

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/file_source.h"
#include "edm2/io/npz.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/metrics/statistics.h"
#include "io/foreign_content.h"
#include "metrics/names_found.h"

namespace edm2 {
namespace {

bool is_npz_name(const std::filesystem::path& path) {
  return lower_extension(path.string()) == ".npz";
}

// Brings what a file holds into the form that the rest relies on.
FeatureStatistics checked(const Tensor& mu, const Tensor& sigma, const std::string& name) {
  if (mu.dim() != 1 || mu.size(0) == 0 || sigma.dim() != 2 || sigma.size(0) != mu.size(0) ||
      sigma.size(1) != mu.size(0))
    throw Error("the statistics '" + name +
                "' do not consist of a mean [D] and a covariance [D,D]");
  if (!at::isFloatingType(mu.scalar_type()) || !at::isFloatingType(sigma.scalar_type()))
    throw Error("the statistics '" + name + "' do not consist of floating-point numbers");
  FeatureStatistics result{mu.to(at::kDouble).contiguous(), sigma.to(at::kDouble).contiguous()};
  if (!at::isfinite(result.mu).all().item<bool>() || !at::isfinite(result.sigma).all().item<bool>())
    throw Error("the statistics '" + name + "' hold numbers that are not finite");
  const double largest = result.sigma.abs().max().item<double>();
  const double asymmetry = (result.sigma - result.sigma.t()).abs().max().item<double>();
  if (asymmetry > 1e-5 * largest)  // float32 files are symmetric up to their rounding
    throw Error("the covariance in the statistics '" + name + "' is not symmetric");
  return result;
}

/// What mean and covariance are called where there is one pair of them.
constexpr std::pair<const char*, const char*> pair_names[] = {
    {"mu", "sigma"}, {"mean", "cov"}, {"mean", "covariance"}, {"mean", "sigma"}};

/// The pair among the values of a file, as statistics of fid. `names` are for the error.
template <class Contains, class Get>
StatisticsFile from_pair(const Contains& contains, const Get& get,
                         const std::vector<std::string>& names) {
  StatisticsFile result;
  for (const auto& [mean, covariance] : pair_names) {
    if (!contains(mean) || !contains(covariance)) continue;
    result.metrics.emplace_back("fid", checked(get(mean), get(covariance), "fid"));
    return result;
  }
  const auto has = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::string advice;
  if (has("mu") && has("sigma"))
    advice = ", which are no arrays; write them as such";
  else if (has("fid") || has("fd_dinov2"))
    advice =
        "; it seems to be a file of features, which is given as --ref-features (statistics have "
        "'mu' and 'sigma' for each metric)";
  else if (has("mu_s") && has("sigma_s"))
    advice = "; those named ..._s are of sFID, another distance";
  throw Error(
      "this file holds no feature statistics ('mu' and 'sigma', a mean [D] and a covariance "
      "[D,D]); it has " +
      names_found(names) + advice);
}

StatisticsFile from_npz(const std::filesystem::path& path) {
  const NpzFile file(path);
  return from_pair([&](const char* name) { return file.contains(name); },
                   [&](const char* name) { return file.get(name); }, file.names());
}

StatisticsFile from_safetensors(std::span<const std::byte> contents, const std::string& path) {
  const StateDict tensors = read_safetensors(contents, path).tensors;
  std::vector<std::string> names;
  for (const auto& entry : tensors) names.push_back(entry.first);
  return from_pair([&](const char* name) { return find_tensor(tensors, name).defined(); },
                   [&](const char* name) { return find_tensor(tensors, name); }, names);
}

/// The original's dict with a dict for each metric; or, as other programs write it, one pair.
StatisticsFile from_pickle(const PickleValue& root) {
  if (!root.is_dict()) throw Error("this is " + root.kind_name() + ", not a dict of statistics");
  StatisticsFile result;
  std::vector<std::string> names;
  for (const auto& [key, value] : root.items()) {
    if (!key.is_string()) continue;
    const std::string& name = names.emplace_back(key.as_string());
    if (name == "num_images") {
      if (!value.is_none()) result.num_images = value.as_int();
    } else if (value.is_dict() && value.contains("mu") && value.contains("sigma")) {
      result.metrics.emplace_back(
          name, checked(value.at("mu").as_tensor(), value.at("sigma").as_tensor(), name));
    }
  }
  if (!result.metrics.empty()) return result;
  const auto contains = [&](const char* name) {
    const PickleValue* value = root.find(name);
    return value != nullptr && value->is_tensor();
  };
  result.metrics = from_pair(
                       contains, [&](const char* name) { return root.at(name).as_tensor(); }, names)
                       .metrics;
  return result;
}

/// The contents tell what kind of file it is.
StatisticsFile read_statistics(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (is_safetensors(bytes)) return from_safetensors(bytes, path.string());
  if (is_zip_file(path)) {
    const ZipReader zip(path);
    const bool is_torch =
        std::any_of(zip.entries().begin(), zip.entries().end(), [](const ZipReader::Entry& entry) {
          return entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
        });
    return is_torch ? from_pickle(read_torch_bytes(bytes, path.string())) : from_npz(path);
  }
  if (is_torch_file(bytes)) return from_pickle(read_torch_bytes(bytes, path.string()));
  const std::string content = describe_file(path);
  if (!content.empty() || !is_pickle(bytes))
    throw Error("this is no file of statistics (neither a pickle nor an .npz archive)" +
                in_brackets(content));
  return from_pickle(read_pickle(bytes, path.string()));
}

}  // namespace

const FeatureStatistics* StatisticsFile::find(const std::string& name) const {
  for (const auto& [key, statistics] : metrics)
    if (key == name) return &statistics;
  return nullptr;
}

StatisticsFile load_statistics(const std::filesystem::path& path) {
  try {
    return read_statistics(path);
  } catch (const Error& error) {
    const std::string message = error.what(), name = path.string();
    if (message.find(name) != std::string::npos) throw;
    throw Error(name + ": " + message);
  }
}

void check_statistics_path(const std::filesystem::path& path,
                           const std::vector<std::string>& names) {
  if (is_npz_name(path) && names != std::vector<std::string>{"fid"})
    throw UsageError(
        "'" + path.string() +
        "': an .npz file holds the statistics of fid alone; write a .pkl file, or ask for "
        "--metrics=fid");
}

void save_statistics(const std::filesystem::path& path, const StatisticsFile& statistics) {
  if (path.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error)
      throw Error("cannot make the folder '" + path.parent_path().string() +
                  "': " + error.message());
  }
  if (is_npz_name(path)) {
    std::vector<std::string> names;
    for (const auto& entry : statistics.metrics) names.push_back(entry.first);
    check_statistics_path(path, names);
    const FeatureStatistics* fid = statistics.find("fid");
    write_npz(path, {{"mu", fid->mu}, {"sigma", fid->sigma}});
    return;
  }
  PickleValue root = PickleValue::dict();
  if (statistics.num_images) root.set("num_images", *statistics.num_images);
  for (const auto& [name, stats] : statistics.metrics)
    root.set(name, PickleValue::dict({{"mu", PickleValue::ndarray(stats.mu)},
                                      {"sigma", PickleValue::ndarray(stats.sigma)}}));
  write_pickle_file(path, root);
}

}  // namespace edm2
