#include "generate/parameters.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "edm2/core/option_table.h"
#include "edm2/io/digest.h"

namespace edm2 {
namespace {

using nlohmann::ordered_json;

/// Names of folders are nobody's business, and what stands behind '?' in an address may be secret.
std::string public_name(const NamedSource& source) {
  if (source.is_web()) {
    const std::string address = source.shown();
    return address.substr(0, address.find_first_of("?#"));
  }
  return source.kind() == SourceKind::bundled
             ? source.text()
             : std::filesystem::path(source.text()).filename().string();
}

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
}

void add_network(ordered_json& json, const std::string& key, const NamedSource& source,
                 const NetworkDigests& digests) {
  json[key] = public_name(source);
  const NetworkDigest& digest = digests.at(key);
  json[key + "_" + digest.kind] = digest.hex.get();
}

}  // namespace

ordered_json run_parameters(const GenerateOptions& options, const Sampler& sampler,
                            const NetworkDigests& digests) {
  const SamplerOptions& s = sampler.options;
  ordered_json json;
  json["version"] = EDM2_VERSION;
  add_network(json, "net", options.net, digests);
  json["guidance"] = number_to_json(s.guidance);
  if (s.guidance != 1) add_network(json, "gnet", *options.gnet, digests);
  if (const auto vae = sampler.encoder().weights_file()) {
    json["vae"] =
        options.vae.empty() ? sampler.encoder().options().vae_name : public_name(options.vae);
    json["vae_sha256"] = sha256_of_file(*vae);
  }
  if (s.guidance != 1 && s.guidance_interval.limits())
    json["guidance_interval"] = {number_to_json(s.guidance_interval.low),
                                 number_to_json(s.guidance_interval.high)};
  json["solver"] = solver_name(s.solver);
  json["steps"] = s.num_steps;
  json["sigma_min"] = number_to_json(s.sigma_min);
  json["sigma_max"] = number_to_json(s.sigma_max);
  json["rho"] = number_to_json(s.rho);
  if (s.S_churn > 0) {
    json["S_churn"] = number_to_json(s.S_churn);
    json["S_min"] = number_to_json(s.S_min);
    json["S_max"] = number_to_json(s.S_max);
    json["S_noise"] = number_to_json(s.S_noise);
  }
  json["precision"] = precision_name(sampler.activation_type().value_or(c10::kFloat));
  json["device"] = sampler.device().is_cuda() ? "cuda" : "cpu";
  if (options.class_idx && sampler.net().label_dim() > 0) json["chosen_class"] = *options.class_idx;
  return json;
}

std::string picture_parameters(const ordered_json& run, int64_t seed,
                               std::optional<int64_t> class_idx) {
  ordered_json json = {{"seed", seed}};
  if (class_idx) json["class"] = *class_idx;
  json.update(run);
  return dump(json);
}

void add_label(ordered_json& parameters, const Tensor& label) {
  constexpr int64_t most = 32;
  const Tensor numbers = label.cpu().to(at::kFloat).contiguous();
  const auto* first = numbers.const_data_ptr<float>();
  if (numbers.numel() <= most) {
    parameters["label"] = ordered_json::array();
    for (int64_t i = 0; i < numbers.numel(); ++i)
      parameters["label"].push_back(number_to_json(first[i]));
  } else {
    parameters["label_sha256"] =
        sha256_hex(std::as_bytes(std::span(first, static_cast<size_t>(numbers.numel()))));
  }
}

std::string format_seeds(std::span<const int64_t> seeds) {
  std::string text;
  for (size_t begin = 0, end = 0; begin < seeds.size(); begin = end) {
    end = begin + 1;
    // Ranges cannot hold negative numbers.
    while (end < seeds.size() && seeds[begin] >= 0 && seeds[end] > seeds[end - 1] &&
           seeds[end] - seeds[end - 1] == 1)
      ++end;
    if (end - begin < 3) end = begin + 1;
    text += (text.empty() ? "" : ",") + std::to_string(seeds[begin]);
    if (end - begin > 1) text += "-" + std::to_string(seeds[end - 1]);
  }
  return text;
}

std::string sheet_parameters(const ordered_json& run, std::span<const int64_t> seeds) {
  ordered_json json = {{"seeds", format_seeds(seeds)}};
  json.update(run);
  return dump(json);
}

std::string describe_difference(const ordered_json& run, int64_t seed,
                                const std::string& existing) {
  constexpr size_t longest = 16384;  // ours have less than one KiB
  const ordered_json there =
      existing.size() > longest
          ? ordered_json()
          : ordered_json::parse(existing, nullptr, /*allow_exceptions=*/false);
  if (!there.is_object()) return "its text is damaged";
  ordered_json here = run;
  here["seed"] = seed;
  // Names of networks may change, their contents may not.
  const auto ignored = [](const std::string& key) {
    return key == "version" || key == "class" || key == "net" || key == "gnet" || key == "vae";
  };
  const auto show = [](const ordered_json& json, const std::string& key) {
    return json.contains(key) ? dump(json[key]).substr(0, 100) : std::string("none");
  };
  ordered_json keys = here;
  keys.update(there);
  for (const auto& [key, value] : keys.items())
    if (!ignored(key) && show(here, key) != show(there, key))
      return key.substr(0, 100) + ": " + show(there, key) + " there, " + show(here, key) + " now";
  return "";
}

}  // namespace edm2
