// What a score rests on, written beside it, so that it can be verified.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/metrics/evaluate.h"

namespace edm2 {

struct DetectorRecord {
  DetectorKind kind;
  NamedSource source;
  std::string resize, precision, network;
};

/// The files behind an evaluation, resolved.
struct EvaluationFiles {
  std::optional<NamedSource> reference, reference_features, vae;
  /// weights_sha256(), where a manifest is to be written; empty without such a network.
  std::string net_sha256, gnet_sha256;
  std::vector<DetectorRecord> detectors;
  c10::Device device = c10::Device(c10::kCPU);
};

/// Reads the files once more, for their SHA-256, unless that is known.
void write_manifest(const std::filesystem::path& path, const EvaluateOptions& options,
                    const EvaluationFiles& files, const Evaluation& result);
/// Throws Error if the file is none.
nlohmann::ordered_json read_manifest(const std::filesystem::path& path);
/// The options of the run that wrote it. Throws Error and what the JSON library throws.
EvaluateOptions options_of_manifest(const nlohmann::ordered_json& manifest);

}  // namespace edm2
