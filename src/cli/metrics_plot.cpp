// edm2 metrics plot: scores of sweeps over EMA length or guidance.
#include "cli/command.h"
#include "cli/metrics_options.h"
#include "edm2/metrics/score_plot.h"

namespace edm2::cli {
namespace {

struct ScorePlotArguments {
  std::vector<std::string> tables;
  std::filesystem::path dest;
  ScorePlotOptions options;
};

void run_metrics_plot(const ScorePlotArguments& a, CommandContext& context) {
  plot::check_figure_path(a.dest);
  std::vector<ScoreTable> tables;
  for (const std::string& path : a.tables) tables.push_back(load_score_table(path));
  plot::save_figure(a.dest, score_plot(tables, a.options));
  context.progress()->message("Saved " + a.dest.string());
}

}  // namespace

void add_metrics_plot(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "plot", "Scores over EMA length or guidance, from the tables of edm2 sweep");
  auto a = std::make_shared<ScorePlotArguments>();
  command.add_option("CSV", a->tables, "Tables with lines such as std,guidance,fid")
      ->option_text("CSV...")
      ->required();
  add_text_option(command, "--dest", a->dest, "FILE", "Figure to write, .svg or .png")->required();
  add_parsed_option(command, "--metrics", a->options.metrics, parse_metric_list, "LIST",
                    "Metrics to show, between commas", "all of the first table");
  add_text_option(command, "--x", a->options.x, "COLUMN",
                  "What the scores are shown over: std, guidance or another column",
                  "the one with the most values");
  add_switch(command, "--log", a->options.log_scale, "Logarithmic scores");
  add_text_option(command, "--title", a->options.title, "TEXT", "Title of the figure");
  add_progress_options(command, context);
  command.callback([a, &context] { run_metrics_plot(*a, context); });
}

}  // namespace edm2::cli
