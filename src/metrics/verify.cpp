#include "edm2/metrics/verify.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/generate/network_source.h"
#include "edm2/nn/snapshot_tools.h"
#include "metrics/manifest.h"

namespace edm2 {
namespace {

using Json = nlohmann::ordered_json;

/// The manifest's options with the sources that the user gives instead.
EvaluateOptions options_to_repeat(const Json& manifest, const VerifyOptions& verify) {
  EvaluateOptions options = options_of_manifest(manifest);
  if (verify.images) {
    if (!options.pictures) throw UsageError("--images: the manifest is of a network's pictures");
    options.pictures->path = *verify.images;
  }
  if (verify.net || verify.gnet || verify.vae) {
    if (!options.network)
      throw UsageError("--net, --gnet, --vae: the manifest is of existing pictures");
    if (verify.vae) options.network->sampling.vae = *verify.vae;
    if (verify.net) options.network->sampling.net = *verify.net;
    if (verify.gnet) options.network->sampling.gnet = *verify.gnet;
  }
  if (verify.ref) options.ref = *verify.ref;
  if (verify.ref_features) options.ref_features = *verify.ref_features;
  if (verify.inception) options.detectors.inception = *verify.inception;
  if (verify.dinov2) options.detectors.dinov2 = *verify.dinov2;
  options.device = verify.device;
  options.fetch = verify.fetch;
  return options;
}

Finding compare_hash(const std::string& what, const Json& recorded, const std::string& now) {
  const bool same = recorded == now;
  return {what, same, same ? "the same contents" : "other contents"};
}

/// Resolves what `options` name, so that scores come from the same files.
std::vector<Finding> compare_files(const Json& manifest, EvaluateOptions& options,
                                   Progress& progress) {
  const FetchOptions& fetch = options.fetch;
  std::vector<Finding> findings;
  const auto look_at = [&](const std::string& what, const Json& recorded,
                           const NamedSource& source) {
    findings.push_back(compare_hash(what, recorded.at("sha256"), source.sha256()));
  };
  if (options.network) {
    GenerateOptions& sampling = options.network->sampling;
    const auto look_at_network = [&](const char* what, const char* role, NamedSource& source) {
      source = find_network(source, fetch, progress);
      findings.push_back(
          compare_hash(what, manifest.at(role).at("weights_sha256"),
                       weights_sha256(load_network_source(source, fetch, progress))));
    };
    look_at_network("network", "net", sampling.net);
    if (manifest.contains("gnet")) look_at_network("guiding network", "gnet", *sampling.gnet);
  }
  if (manifest.contains("reference")) {
    options.ref = options.ref->resolved(fetch, progress);
    look_at("reference", manifest.at("reference"), *options.ref);
  }
  if (manifest.contains("reference_features")) {
    options.ref_features = options.ref_features->resolved(fetch, progress);
    look_at("reference features", manifest.at("reference_features"), *options.ref_features);
  }
  if (manifest.contains("detectors"))
    for (const auto& [name, detector] : manifest.at("detectors").items()) {
      const bool is_inception = name == statistics_name(DetectorKind::inception);
      const auto kind = is_inception ? DetectorKind::inception : DetectorKind::dinov2;
      NamedSource& source = is_inception ? options.detectors.inception : options.detectors.dinov2;
      source = find_detector(kind, source, fetch, progress);
      look_at(is_inception ? "InceptionV3" : "DINOv2", detector, source);
    }
  return findings;
}

Finding compare_score(const std::string& metric, const Json& recorded,
                      const std::vector<Score>& now, double tolerance) {
  const auto found = std::find_if(now.begin(), now.end(),
                                  [&](const Score& score) { return score.metric == metric; });
  if (found == now.end()) return {metric, false, "not computed"};
  if (!recorded.at("value").is_number()) return {metric, false, "no number recorded"};
  const double before = recorded.at("value");
  const double scale = std::max(1.0, std::abs(before));
  return {metric, std::abs(found->value - before) <= tolerance * scale,
          format_number("%.8g", found->value) + format_number(", recorded %.8g", before)};
}

}  // namespace

std::vector<Finding> verify_manifest(const VerifyOptions& verify, ProcessGroup& group,
                                     Progress& progress) {
  const Json manifest = read_manifest(verify.manifest);
  try {
    EvaluateOptions options = options_to_repeat(manifest, verify);
    std::vector<Finding> findings;
    if (group.is_main()) findings = compare_files(manifest, options, progress);
    if (verify.inputs_only) {
      if (options.pictures) {
        const std::string now = hash_pictures(*options.pictures, options.fetch, group, progress);
        if (group.is_main())
          findings.push_back(compare_hash("pictures", manifest.at("pictures_sha256"), now));
      }
      return findings;
    }

    const Evaluation now = evaluate(options, group, progress);
    if (!group.is_main()) return {};
    findings.push_back(
        compare_hash("pictures", manifest.at("pictures_sha256"), now.pictures_sha256));
    for (const auto& [metric, recorded] : manifest.at("scores").items())
      findings.push_back(compare_score(metric, recorded, now.scores, verify.tolerance));
    return findings;
  } catch (const nlohmann::json::exception& error) {
    throw Error("'" + verify.manifest.string() + "' is a damaged manifest: " + error.what());
  }
}

}  // namespace edm2
