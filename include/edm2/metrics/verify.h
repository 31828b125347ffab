/// Checking scores against the manifest that was written with them.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/io/source.h"
#include "edm2/metrics/scores.h"

namespace edm2 {

/// "value", and "deviation", "bias", "warnings" where there are some; "deviation": null where it
/// cannot be told.
nlohmann::ordered_json to_json(const Score& score);

/// What is compared with a manifest, and where its files are now.
struct VerifyOptions {
  std::filesystem::path manifest;
  bool inputs_only = false;  ///< compare pictures and files, compute no scores
  double tolerance = 1e-4;   ///< of scores, relative (absolute below 1)
  std::string device = "auto";
  FetchOptions fetch;
  /// In place of what the manifest names, e.g. on another machine.
  std::optional<std::string> images, net, gnet, vae, ref, ref_features, inception, dinov2;
};

/// One thing that was compared.
struct Finding {
  std::string what;  ///< "reference", "fid", ...
  bool same = false;
  std::string detail;  ///< "5.03363, recorded 5.03363"
};

/// Compares the files that scores were made from with those of the manifest, then computes the
/// scores anew and compares them. Findings come on the first process. Throws Error if the manifest
/// cannot be read or the work cannot be done.
std::vector<Finding> verify_manifest(const VerifyOptions& options, ProcessGroup& group,
                                     Progress& progress);

}  // namespace edm2
