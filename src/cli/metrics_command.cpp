// edm2 metrics, and its subcommand for two files of statistics.
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/metrics_options.h"

namespace edm2::cli {
namespace {

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
  set.num_images = set.statistics.num_images.value_or(0);
  return set;
}

std::string names_of(const FeatureSet& set) {
  std::string names;
  for (const auto& [name, statistics] : set.statistics.metrics)
    names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

void run_distance(const DistanceArguments& a, CommandContext& context) {
  ScorePrinter print(a.json, context);
  const FeatureSet stats = load(a.stats, context), reference = load(a.ref, context);
  const auto scores = compute_scores(a.metrics, stats, reference, {}, *context.progress(),
                                     [&](const Score& score) { print(score); });
  if (scores.empty())
    throw Error("none of the metrics asked for is in both files: '" + without_password(a.stats) +
                "' has " + names_of(stats) + ", '" + without_password(a.ref) + "' has " +
                names_of(reference));
  print.finish();
}

void add_distance(CLI::App& group, CommandContext& context) {
  CLI::App& command =
      *group.add_subcommand("distance", "Distance between two files of feature statistics");
  auto a = std::make_shared<DistanceArguments>();
  add_text_option(command, "--stats", a->stats, "FILE|URL", "Statistics, .pkl or .npz")->required();
  add_text_option(command, "--ref", a->ref, "FILE|URL", "Statistics to compare with")->required();
  add_metrics_option(command, a->metrics);
  add_json_option(command, a->json);
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_distance(*a, context); });
}

}  // namespace

void add_metrics_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("metrics", "Compare sets of pictures: FID, FD-DINOv2");
  add_metrics_calc(group, context);
  add_metrics_gen(group, context);
  add_metrics_ref(group, context);
  add_distance(group, context);
  add_metrics_verify(group, context);
  add_metrics_plot(group, context);
}

}  // namespace edm2::cli
