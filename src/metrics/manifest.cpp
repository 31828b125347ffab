#include "metrics/manifest.h"

#include <ATen/ATen.h>

#include <limits>

#include "edm2/core/error.h"
#include "edm2/core/option_table.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "edm2/metrics/verify.h"

namespace edm2 {
namespace {

using Json = nlohmann::ordered_json;

constexpr int format_version = 1;

double to_number(const Json& json) {
  if (json == "inf") return std::numeric_limits<double>::infinity();
  if (json == "-inf") return -std::numeric_limits<double>::infinity();
  if (json == "nan") return std::numeric_limits<double>::quiet_NaN();
  return json.get<double>();
}

template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
template <class T>
std::optional<T> to_optional(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional<T>(json.get<T>());
}

Json to_json(const SamplerOptions& s) {
  return {{"solver", solver_name(s.solver)},
          {"steps", s.num_steps},
          {"sigma_min", s.sigma_min},
          {"sigma_max", s.sigma_max},
          {"rho", s.rho},
          {"guidance", s.guidance},
          {"guidance_interval",
           {number_to_json(s.guidance_interval.low), number_to_json(s.guidance_interval.high)}},
          {"S_churn", s.S_churn},
          {"S_min", number_to_json(s.S_min)},
          {"S_max", number_to_json(s.S_max)},
          {"S_noise", s.S_noise}};
}

SamplerOptions to_sampler(const Json& json) {
  SamplerOptions s;
  s.solver = parse_solver(json.at("solver"));
  s.num_steps = json.at("steps");
  s.sigma_min = json.at("sigma_min");
  s.sigma_max = json.at("sigma_max");
  s.rho = json.at("rho");
  s.guidance = json.at("guidance");
  const Json& interval = json.at("guidance_interval");
  s.guidance_interval = {to_number(interval.at(0)), to_number(interval.at(1))};
  s.S_churn = json.at("S_churn");
  s.S_min = to_number(json.at("S_min"));
  s.S_max = to_number(json.at("S_max"));
  s.S_noise = json.at("S_noise");
  return s;
}

Json to_json(const PictureInput& input) {
  return {{"source", input.path.text()},
          {"num", optional_json(input.num)},
          {"seed", input.seed},
          {"allow_fewer", input.allow_fewer}};
}

PictureInput to_pictures(const Json& json) {
  PictureInput input;
  input.path = json.at("source").get<std::string>();
  input.num = to_optional<int64_t>(json.at("num"));
  input.seed = json.at("seed");
  input.allow_fewer = json.at("allow_fewer");
  return input;
}

Json to_json(const NamedSource& source) {
  return {{"source", source.shown()}, {"sha256", source.sha256()}};
}

Json to_json(const NetworkInput& input) {
  const GenerateOptions& o = input.sampling;
  return {{"first_seed", input.first_seed},
          {"num", input.num},
          {"class", optional_json(o.class_idx)},
          {"label_vector", optional_json(o.label_vector)},
          {"labels", o.labels ? Json(o.labels->text()) : Json()},
          {"precision", precision_name(o.precision)},
          {"sampler", to_json(o.sampler)}};
}

NamedSource source_in(const Json& json, const char* role) {
  return json.at(role).at("source").get<std::string>();
}

NetworkInput to_network(const Json& manifest) {
  const Json& json = manifest.at("generated");
  NetworkInput input;
  input.first_seed = json.at("first_seed");
  input.num = json.at("num");
  GenerateOptions& o = input.sampling;
  o.net = source_in(manifest, "net");
  if (manifest.contains("gnet")) o.gnet = source_in(manifest, "gnet");
  if (manifest.contains("vae")) o.vae = source_in(manifest, "vae");
  o.class_idx = to_optional<int64_t>(json.at("class"));
  if (json.contains("label_vector"))
    o.label_vector = to_optional<std::vector<double>>(json.at("label_vector"));
  if (json.contains("labels")) o.labels = to_optional<std::string>(json.at("labels"));
  o.precision = parse_precision(json.at("precision"));
  o.sampler = to_sampler(json.at("sampler"));
  return input;
}

}  // namespace

Json to_json(const Score& score) {
  Json json = {{"value", number_to_json(score.value)}};
  if (score.deviation) json["deviation"] = number_to_json(*score.deviation);
  if (score.deviation_unknown) json["deviation"] = nullptr;
  if (score.bias) json["bias"] = number_to_json(*score.bias);
  if (!score.warnings.empty()) json["warnings"] = score.warnings;
  return json;
}

void write_manifest(const std::filesystem::path& path, const EvaluateOptions& options,
                    const EvaluationFiles& files, const Evaluation& result) {
  Json json = {{"manifest", format_version},
               {"edm2", EDM2_VERSION},
               {"libtorch", EDM2_LIBTORCH_VERSION},
               {"device", files.device.is_cuda() ? "cuda" : "cpu"}};
  if (options.pictures) json["pictures"] = to_json(*options.pictures);
  if (options.network) json["generated"] = to_json(*options.network);
  json["num_images"] = result.num_images;
  json["pictures_sha256"] = result.pictures_sha256;
  const std::pair<const char*, const std::optional<NamedSource>&> sources[] = {
      {"vae", files.vae},
      {"reference", files.reference},
      {"reference_features", files.reference_features}};
  for (const auto& [name, file] : sources)
    if (file) json[name] = to_json(*file);
  const auto add_network = [&](const char* role, const NamedSource& source,
                               const std::string& hash) {
    json[role] = {{"source", source.shown()}, {"weights_sha256", hash}};
  };
  if (options.network) {
    const GenerateOptions& sampling = options.network->sampling;
    add_network("net", sampling.net, files.net_sha256);
    if (!files.gnet_sha256.empty()) add_network("gnet", *sampling.gnet, files.gnet_sha256);
  }
  for (const DetectorRecord& detector : files.detectors)
    json["detectors"][statistics_name(detector.kind)] = {{"source", detector.source.shown()},
                                                         {"network", detector.network},
                                                         {"sha256", detector.source.sha256()},
                                                         {"resize", detector.resize},
                                                         {"precision", detector.precision}};
  json["detector_precision"] = precision_name(options.detectors.precision);
  for (const Metric& metric : options.metrics) json["metrics"].push_back(metric.name);
  json["error_bars"] = options.error_bars;
  json["scores"] = Json::object();
  for (const Score& score : result.scores) json["scores"][score.metric] = to_json(score);
  write_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

EvaluateOptions options_of_manifest(const Json& json) {
  EvaluateOptions options;
  if (json.contains("pictures")) options.pictures = to_pictures(json.at("pictures"));
  if (json.contains("generated")) options.network = to_network(json);
  if (options.pictures.has_value() == options.network.has_value())
    throw Error("a damaged manifest: it must name either pictures or a network");
  if (json.contains("reference")) options.ref = source_in(json, "reference");
  if (json.contains("reference_features"))
    options.ref_features = source_in(json, "reference_features");
  if (json.contains("detectors")) {
    const Json& detectors = json.at("detectors");
    if (detectors.contains("fid")) options.detectors.inception = source_in(detectors, "fid");
    if (detectors.contains("fd_dinov2"))
      options.detectors.dinov2 = source_in(detectors, "fd_dinov2");
  }
  options.detectors.precision = parse_precision(json.at("detector_precision"));
  std::string metrics;
  for (const Json& metric : json.at("metrics"))
    metrics += (metrics.empty() ? "" : ",") + metric.get<std::string>();
  options.metrics = parse_metric_list(metrics);
  options.error_bars = json.at("error_bars");
  return options;
}

Json read_manifest(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  Json json;
  try {
    json = parse_ordered_json(text);
  } catch (const Error& error) {
    throw Error("'" + path.string() + "' is no manifest of scores: it is " + error.what());
  }
  if (!json.is_object() || !json.contains("manifest") || !json.contains("scores"))
    throw Error("'" + path.string() + "' is no manifest of scores");
  if (json.at("manifest") != format_version)
    throw Error("'" + path.string() + "' is a manifest of another version of this program");
  return json;
}

}  // namespace edm2
