/// What the subcommands of edm2 metrics share: their options, and how scores are printed.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "edm2/metrics/evaluate.h"

namespace CLI {
class App;
}  // namespace CLI

namespace edm2::cli {

class CommandContext;

/// How results leave the program: a line as soon as one is there, or all at the end as JSON.
class ScorePrinter {
 public:
  /// `json`: nothing else goes to standard output. Make it after CommandContext::processes().
  ScorePrinter(bool json, CommandContext& context);

  void operator()(const Score& score);
  /// On the first process, when all scores are there.
  void finish();

 private:
  bool json_;
  nlohmann::ordered_json all_ = nlohmann::ordered_json::object();
  std::shared_ptr<Progress> progress_;
};

/// --json
void add_json_option(CLI::App& command, bool& json);
/// --metrics
void add_metrics_option(CLI::App& command, std::vector<Metric>& metrics);
/// --inception and --dinov2.
void add_detector_options(CLI::App& command, DetectorSources& detectors);

/// calc, gen and ref.
void add_metrics_calc(CLI::App& group, CommandContext& context);
void add_metrics_gen(CLI::App& group, CommandContext& context);
void add_metrics_ref(CLI::App& group, CommandContext& context);
/// verify
void add_metrics_verify(CLI::App& group, CommandContext& context);
/// plot
void add_metrics_plot(CLI::App& group, CommandContext& context);

}  // namespace edm2::cli
