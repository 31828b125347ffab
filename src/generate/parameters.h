// How pictures were made: the JSON text that PNG files carry.
#pragma once

#include <future>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>

#include "edm2/generate/generate.h"

namespace edm2 {

/// What tells a network from all others.
struct NetworkDigest {
  std::string kind;  ///< "sha256" of the file, "weights_sha256" where there is none (FOLDER@STD)
  std::shared_future<std::string> hex;
};
/// Of "net" and "gnet".
using NetworkDigests = std::map<std::string, NetworkDigest>;

/// What all pictures of a run have in common.
nlohmann::ordered_json run_parameters(const GenerateOptions& options, const Sampler& sampler,
                                      const NetworkDigests& digests);

/// ASCII, one line. `class_idx`: of this picture, none for unconditional networks.
std::string picture_parameters(const nlohmann::ordered_json& run, int64_t seed,
                               std::optional<int64_t> class_idx);

/// Adds the label that a picture was given to what is said of it: its numbers, or their SHA-256 if
/// there are many.
void add_label(nlohmann::ordered_json& parameters, const Tensor& label);

/// The same for one file with the pictures of many seeds.
std::string sheet_parameters(const nlohmann::ordered_json& run, std::span<const int64_t> seeds);

/// In the syntax of --seeds: "1,2,5-10".
std::string format_seeds(std::span<const int64_t> seeds);

/// What differs in the text of an existing picture, such as "steps: 32 there, 16 now"; empty if a
/// run with these parameters could have made it from this seed.
std::string describe_difference(const nlohmann::ordered_json& run, int64_t seed,
                                const std::string& existing);

}  // namespace edm2
