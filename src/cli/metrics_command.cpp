// edm2 metrics: options of the original's calculate_metrics.py, and more.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/metrics/scores.h"

namespace edm2::cli {
namespace {

using Json = nlohmann::ordered_json;

/// How results leave the program: a line as soon as one is there, or all at the end as JSON.
class ScorePrinter {
 public:
  ScorePrinter(bool json, CommandContext& context) : json_(json) {
    if (json) context.quiet = true;  // nothing else on standard output
    progress_ = context.progress();
  }

  void operator()(const Score& score) {
    if (json_) {
      Json entry = {{"value", score.value}};
      if (!score.warnings.empty()) entry["warnings"] = score.warnings;
      all_[score.metric] = entry;
      return;
    }
    for (const std::string& warning : score.warnings) progress_->message("Warning: " + warning);
    char text[64];
    std::snprintf(text, sizeof text, "%g", score.value);
    std::cout << score.metric << " = " << text << std::endl;
  }
  void finish() {
    if (json_) std::cout << all_.dump() << std::endl;
  }

 private:
  bool json_;
  Json all_ = Json::object();
  std::shared_ptr<Progress> progress_;
};

CLI::Option* add_metrics_option(CLI::App& command, std::vector<Metric>& metrics) {
  return add_parsed_option(command, "--metrics", metrics, parse_metric_list, "LIST",
                           "Metrics to compute, between commas", "fid,fd_dinov2");
}

struct DistanceArguments {
  std::string stats, ref;
  std::vector<Metric> metrics = parse_metric_list("fid,fd_dinov2");
  bool json = false;
};

FeatureSet load(const std::string& source, CommandContext& context) {
  context.progress()->message("Loading feature statistics from " + without_password(source) +
                              " ...");
  FeatureSet set;
  set.statistics = load_statistics(resolve_source(source, context.fetch, *context.progress()));
  return set;
}

void run_distance(const DistanceArguments& a, CommandContext& context) {
  ScorePrinter print(a.json, context);
  const FeatureSet stats = load(a.stats, context), reference = load(a.ref, context);
  const auto scores = compute_scores(a.metrics, stats, reference, {}, *context.progress(),
                                     [&](const Score& score) { print(score); });
  if (scores.empty()) throw Error("none of the metrics asked for is in both files");
  print.finish();
}

void add_distance(CLI::App& group, CommandContext& context) {
  CLI::App& command =
      *group.add_subcommand("distance", "Distance between two files of feature statistics");
  auto a = std::make_shared<DistanceArguments>();
  add_text_option(command, "--stats", a->stats, "FILE|URL", "Statistics, .pkl or .npz")->required();
  add_text_option(command, "--ref", a->ref, "FILE|URL", "Statistics to compare with")->required();
  add_metrics_option(command, a->metrics);
  add_switch(command, "--json", a->json, "Print the results as JSON and nothing else");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_distance(*a, context); });
}

}  // namespace

void add_metrics_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("metrics", "Compare sets of pictures: FID, FD-DINOv2");
  add_distance(group, context);
}

}  // namespace edm2::cli
