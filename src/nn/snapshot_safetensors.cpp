// Snapshots as safetensors: what the pickle holds beside the tensors stands as JSON in the
// metadata.
#include <cmath>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

using nlohmann::json;

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json encoder_json(const EncoderOptions& encoder) {
  if (encoder.kind == EncoderOptions::Kind::rgb) return {{"class_name", "StandardRGBEncoder"}};
  return {{"class_name", "StabilityVAEEncoder"},
          {"vae_name", encoder.vae_name},
          {"scale", encoder.scale},
          {"bias", encoder.bias},
          {"batch_size", encoder.batch_size}};
}

EncoderOptions encoder_from(const json& value) {
  EncoderOptions encoder;
  const auto name = value.at("class_name").get<std::string>();
  if (name == "StandardRGBEncoder") return encoder;
  if (name != "StabilityVAEEncoder")
    throw Error("the snapshot needs the unknown encoder " + name.substr(0, 100));
  encoder.kind = EncoderOptions::Kind::stability_vae;
  value.at("vae_name").get_to(encoder.vae_name);
  value.at("scale").get_to(encoder.scale);
  value.at("bias").get_to(encoder.bias);
  value.at("batch_size").get_to(encoder.batch_size);
  return encoder;
}

}  // namespace

std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot) {
  std::map<std::string, std::string> metadata = {{"format", "edm2"},
                                                 {"network", dump(to_json(snapshot.network))},
                                                 {"encoder", dump(encoder_json(snapshot.encoder))}};
  if (snapshot.dataset)
    metadata["dataset"] =
        dump({{"path", snapshot.dataset->path}, {"use_labels", snapshot.dataset->use_labels}});
  if (snapshot.loss)
    metadata["loss"] = dump({{"P_mean", snapshot.loss->P_mean},
                             {"P_std", snapshot.loss->P_std},
                             {"sigma_data", snapshot.loss->sigma_data}});
  return metadata;
}

Snapshot snapshot_from_safetensors(SafetensorsFile file) {
  const auto& metadata = file.metadata;
  if (!metadata.contains("network"))
    throw Error("this is not a network snapshot: its metadata have no \"network\"");
  Snapshot snapshot;
  try {
    snapshot.network = network_options_from_json(json::parse(metadata.at("network")));
    if (metadata.contains("encoder"))
      snapshot.encoder = encoder_from(json::parse(metadata.at("encoder")));
    if (metadata.contains("dataset")) {
      const json dataset = json::parse(metadata.at("dataset"));
      snapshot.dataset = DatasetOptions{dataset.at("path").get<std::string>(),
                                        dataset.at("use_labels").get<bool>()};
    }
    if (metadata.contains("loss")) {
      const json loss = json::parse(metadata.at("loss"));
      snapshot.loss = LossOptions{loss.at("P_mean").get<double>(), loss.at("P_std").get<double>(),
                                  loss.at("sigma_data").get<double>()};
    }
  } catch (const json::exception&) {
    throw Error("the metadata of the snapshot are malformed");
  }
  snapshot.tensors = check_tensors(snapshot.network, file.tensors);
  return snapshot;
}

}  // namespace edm2
