#include "cli/metrics_options.h"

#include <iostream>

#include "cli/command.h"
#include "edm2/core/format_number.h"
#include "edm2/metrics/verify.h"

namespace edm2::cli {
namespace {

/// As Python's "%g" does.
std::string text_of(double value) { return format_number("%g", value); }

}  // namespace

ScorePrinter::ScorePrinter(bool json, CommandContext& context) : json_(json) {
  if (json) context.quiet = true;
  progress_ = context.progress();
}

void ScorePrinter::operator()(const Score& score) {
  if (json_) {
    all_[score.metric] = to_json(score);
    return;
  }
  for (const std::string& warning : score.warnings) progress_->message("Warning: " + warning);
  std::string line = score.metric + " = " + text_of(score.value);
  if (score.deviation) line += " ± " + text_of(*score.deviation);
  if (score.bias) line += ", bias " + text_of(*score.bias);
  std::cout << line << std::endl;
}

void ScorePrinter::finish() {
  if (json_) std::cout << all_.dump() << std::endl;
}

void add_json_option(CLI::App& command, bool& json) {
  add_switch(command, "--json", json, "Print the results as JSON and nothing else");
}

void add_metrics_option(CLI::App& command, std::vector<Metric>& metrics) {
  std::string names;
  for (const Metric& metric : known_metrics()) names += (names.empty() ? "" : ", ") + metric.name;
  add_parsed_option(command, "--metrics", metrics, parse_metric_list, "LIST",
                    "Metrics to compute, between commas: " + names, "fid,fd_dinov2");
}

void add_detector_options(CLI::App& command, DetectorSources& detectors) {
  add_text_option(command, "--inception", detectors.inception, "FILE|URL",
                  "Weights of InceptionV3: NVIDIA's .pkl or .pt, pytorch-fid's .pth, safetensors",
                  "NVIDIA's, downloaded");
  add_text_option(command, "--dinov2", detectors.dinov2, "FILE|URL",
                  "Weights of DINOv2 ViT-L/14: Meta's .pth, timm's or Hugging Face's files",
                  "Meta's, downloaded");
}

}  // namespace edm2::cli
