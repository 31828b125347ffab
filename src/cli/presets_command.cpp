// edm2 presets: what --preset of edm2 generate knows.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/core/format_number.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/presets.h"

namespace edm2::cli {
namespace {

/// A network of a preset, as far as that can be said without downloading it.
struct NetworkFacts {
  std::string size;  ///< "XS"; "" for models that are not of the authors' series
  NetworkOptions options;
  int64_t parameters = 0;
};

/// None for a bundled model that is not installed.
std::optional<NetworkFacts> describe_network(const std::string& source) {
  if (const auto published = describe_published_network(source))
    return NetworkFacts{published->size, published->options, count_parameters(published->options)};
  try {
    const auto quiet = make_progress(ProgressStyle::quiet);
    const NetworkOptions options =
        open_network_source(source, {.offline = true}, *quiet).description().network;
    return NetworkFacts{"", options, count_parameters(options)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// "XS 125M", "XS 124M uncond", "1.2M"
std::string short_text(const std::optional<NetworkFacts>& facts) {
  if (!facts) return "not installed";
  const double value = static_cast<double>(facts->parameters) * 1e-6;
  return (facts->size.empty() ? "" : facts->size + " ") +
         format_number(value < 10 ? "%.1fM" : "%.0fM", value) +
         (facts->options.label_dim == 0 ? " uncond" : "");
}

std::string score_text(const std::optional<PublishedScore>& score) {
  if (!score) return "-";
  return (score->metric == "fid" ? "FID " : "FD-DINOv2 ") + format_number("%.2f", score->value);
}

std::string file_name(const std::string& source) {
  return source.substr(source.find_last_of("/") + 1);
}

nlohmann::ordered_json to_json(const std::string& source) {
  nlohmann::ordered_json json = {{"source", source}};
  const auto facts = describe_network(source);
  if (!facts) return json;
  if (!facts->size.empty()) json["size"] = facts->size;
  json["parameters"] = facts->parameters;
  json["resolution"] = facts->options.img_resolution;
  json["channels"] = facts->options.img_channels;
  json["classes"] = facts->options.label_dim;
  return json;
}

void print_json() {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const GeneratePreset& preset : generate_presets()) {
    nlohmann::ordered_json entry = {{"name", preset.name},
                                    {"net", to_json(preset.net)},
                                    {"gnet", nullptr},
                                    {"guidance", preset.guidance},
                                    {"score", nullptr}};
    if (preset.gnet) entry["gnet"] = to_json(*preset.gnet);
    if (preset.score)
      entry["score"] = {{"metric", preset.score->metric}, {"value", preset.score->value}};
    list.push_back(std::move(entry));
  }
  std::cout << list.dump(2) << "\n";
}

void print_table() {
  Table table({"PRESET", "NETWORK", "GUIDE", "GUIDANCE", "SCORE", "SOURCE"});
  std::string folder;
  for (const GeneratePreset& preset : generate_presets()) {
    std::string guide = "-", source = file_name(preset.net);
    if (preset.gnet) {
      guide = short_text(describe_network(*preset.gnet));
      source += " " + file_name(*preset.gnet);
    }
    if (is_web_address(preset.net)) folder = preset.net.substr(0, preset.net.rfind('/') + 1);
    table.add({preset.name, short_text(describe_network(preset.net)), guide,
               format_number("%.4g", preset.guidance), score_text(preset.score), source});
  }
  std::cout << table.text() << "\nNetworks named edm2-* are downloaded from " << folder
            << "\nthe first time they are used. Scores are those stated by their authors.\n";
}

}  // namespace

void add_presets_command(CLI::App& app, CommandContext&) {
  CLI::App* command = app.add_subcommand(
      "presets", "List the presets of generate: networks, guidance, published scores");
  auto json = std::make_shared<bool>(false);
  add_switch(*command, "--json", *json, "Print a JSON array");
  command->callback([json] { *json ? print_json() : print_table(); });
}

}  // namespace edm2::cli
