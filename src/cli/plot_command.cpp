// edm2 plot: the course of training runs as a figure.
#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/analysis/run_curves.h"

namespace edm2::cli {
namespace {

struct PlotArguments {
  std::vector<std::string> runs;
  std::string out = "training.png";
  RunFigureOptions options;
};

std::vector<std::string> parse_metrics(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream parts(text);
  for (std::string name; std::getline(parts, name, ',');)
    names.push_back(parse_word(name, run_metric_names()));
  return names;
}

RunAxis parse_axis(const std::string& name) {
  return parse_word(name, {"kimg", "time"}) == "kimg" ? RunAxis::kimg : RunAxis::time;
}

/// "12x8" in inches.
std::pair<double, double> parse_size(const std::string& text) {
  const size_t x = text.find('x');
  if (x == std::string::npos)
    throw UsageError("'" + text + "' is not a size such as 12x8 (inches).");
  const FloatRange range{.min = 2, .max = 100};
  return {parse_float(text.substr(0, x), range), parse_float(text.substr(x + 1), range)};
}

void run_plot(const PlotArguments& a, CommandContext& context) {
  plot::check_figure_path(a.out);
  const auto progress = context.progress();
  std::vector<RunCurves> runs;
  for (const std::string& path : a.runs) {
    runs.push_back(read_run_curves(path));
    if (const int64_t damaged = runs.back().damaged_lines; damaged > 0)
      progress->message("Note: left out " + std::to_string(damaged) +
                        (damaged == 1 ? " line" : " lines") + " of " + path +
                        " that cannot be read");
  }
  plot::save_figure(a.out, run_figure(runs, a.options));
  progress->message("Saved " + a.out);
}

}  // namespace

void add_plot_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand("plot", "Draw loss, norms and speed of training runs");
  auto a = std::make_shared<PlotArguments>();
  command->add_option("RUN", a->runs, "Folders of runs, or their stats.jsonl")
      ->required()
      ->option_text("RUN...");
  add_text_option(*command, "--out", a->out, "FILE", "Picture to write, .png or .svg", a->out);
  add_parsed_option(*command, "--metrics", a->options.metrics, parse_metrics, "LIST",
                    "Panels: loss, noise (loss by noise level), noise-profile, lr, grad-norm, "
                    "weight-norm, nonfinite, speed, sec-per-kimg, memory",
                    "what the runs have");
  add_parsed_option(*command, "--x", a->options.x, parse_axis, "kimg|time",
                    "Against images seen or time", "kimg");
  add_int_option(*command, "--smooth", a->options.smooth, at_least(int64_t{1}),
                 "Draw means over that many status lines, single ones faintly behind");
  add_switch(*command, "--log-x", a->options.log_x, "Logarithmic images or time");
  add_switch(*command, "--log-y", a->options.log_y,
             "Logarithmic axes where all numbers are positive");
  add_parsed_option(
      *command, "--size", *a,
      [a](const std::string& text) {
        std::tie(a->options.width, a->options.height) = parse_size(text);
        return *a;
      },
      "WxH", "Size of the figure in inches", "by the number of panels");
  add_progress_options(*command, context);
  command->callback([a, &context] { run_plot(*a, context); });
}

}  // namespace edm2::cli
