// edm2 toy: the original's toy_example.py, and more.
#include <cmath>
#include <iostream>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/core/format_number.h"
#include "edm2/core/words.h"
#include "edm2/diffusion/sampler_options.h"
#include "edm2/generate/presets.h"
#include "edm2/io/atomic_file.h"
#include "edm2/toy/explore.h"
#include "edm2/toy/figure.h"
#include "edm2/toy/train.h"

namespace edm2::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* default_net = "bundled:toy-clsA-layers04-dim64-iter4096.pkl";
constexpr const char* default_gnet = "bundled:toy-clsA-layers04-dim32-iter0512.pkl";
constexpr const char* default_unconditional = "bundled:toy-clsAB-layers04-dim64-iter4096.pkl";
constexpr const char* no_processes = "Distributed execution is not supported.";

toy::Network load(const std::string& source, CommandContext& context) {
  const std::string bundled = "bundled:";
  const fs::path path = source.starts_with(bundled)
                            ? find_bundled_model(source.substr(bundled.size()))
                            : resolve_source(source, context.fetch, *context.progress());
  return toy::load_network(path);
}

// ---- edm2 toy train

struct ToyTrainArguments {
  toy::TrainOptions options;
  bool viz = true;
  std::optional<fs::path> viz_file;
};

/// The samples of the network in training, in a file that is replaced again and again.
class Visualization {
 public:
  Visualization(fs::path path, Progress& progress)
      : path_(std::move(path)),
        background_(toy::whole_view),
        start_(toy::starting_points(8192, toy::default_sampler_options().sigma_max)) {
    progress.message("Will draw the samples of the network into " + path_.string());
  }

  void operator()(const toy::Trainer& trainer) {
    if (trainer.iteration() % 32 != 0) return;
    const toy::LearnedModel model(trainer.ema());
    plot::Figure figure{.width = 12, .height = 12};
    figure.dpi = 75;
    plot::Axes axes = toy::make_panel(toy::whole_view, "");
    background_.add_to(axes);
    axes.add(toy::make_dots(
        toy::sample_trajectories(model, nullptr, start_, toy::default_sampler_options())
            .positions[-1]));
    figure.axes.push_back(std::move(axes));
    plot::save_figure(path_, figure);
  }

 private:
  fs::path path_;
  toy::Background background_;
  Tensor start_;  // [N,2]
};

void run_toy_train(const ToyTrainArguments& a, CommandContext& context) {
  require_single_process(no_processes);
  const auto progress = context.progress();
  std::optional<fs::path> file = a.viz_file;
  if (!file && a.options.outdir) file = *a.options.outdir / "samples.png";
  if (a.viz && file) plot::check_figure_path(*file);
  std::optional<Visualization> visualization;
  std::function<void(const toy::Trainer&)> before_step;
  if (a.options.outdir) fs::create_directories(*a.options.outdir);
  if (a.viz && file) {
    visualization.emplace(*file, *progress);
    before_step = [&](const toy::Trainer& trainer) { (*visualization)(trainer); };
  } else if (a.viz) {
    progress->message("There is no window: give --outdir or --viz-file to see the samples");
  }
  toy::train(a.options, *progress, before_step);
}

void add_toy_train(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand("train", "Train a toy network");
  auto a = std::make_shared<ToyTrainArguments>();
  toy::TrainOptions& o = a->options;
  add_text_option(command, "--outdir", o.outdir, "DIR", "Folder for snapshots; none: not saved");
  add_text_option(command, "--cls", o.classes, "A|B|AB", "Classes to train on", o.classes);
  add_int_option(command, "--layers", o.network.num_layers, at_least(int64_t{0}), "Hidden layers");
  add_int_option(command, "--dim", o.network.hidden_dim, at_least(int64_t{1}),
                 "Hidden channels of a layer");
  add_bool_option(command, "--viz", a->viz, "Draw the samples every 32 iterations", "true");
  add_text_option(command, "--viz-file", a->viz_file, "FILE",
                  "PNG, SVG or PDF file of the samples, replaced during the training",
                  "samples.png in the folder of snapshots");
  add_int_option(command, "--batch", o.batch_size, at_least(int64_t{1}), "Points of an iteration");
  add_int_option(command, "--iterations", o.iterations, at_least(int64_t{1}), "Iterations");
  add_int_option(command, "--seed", o.seed, at_least(int64_t{0}), "Random seed");
  add_progress_options(command, context);
  command.callback([a, &context] { run_toy_train(*a, context); });
}

// ---- edm2 toy plot

struct ToyPlotArguments {
  std::string net = default_net, gnet = default_gnet;
  double guidance = 3;
  std::optional<fs::path> save;
};

void run_plot(const ToyPlotArguments& a, CommandContext& context) {
  require_single_process(no_processes);
  const auto progress = context.progress();
  const fs::path path = a.save.value_or("toy.png");
  plot::check_figure_path(path);
  if (!std::isfinite(a.guidance)) throw UsageError("--guidance must be a finite number");
  progress->message("Loading models...");
  const toy::LearnedModel net(load(a.net, context)), gnet(load(a.gnet, context));
  progress->message("Drawing plots...");
  toy::FigureOptions options;
  options.guidance = a.guidance;
  const plot::Figure figure = toy::draw_figure(net, gnet, options, *progress);
  progress->message("Saving to " + path.string());
  if (path.has_parent_path()) fs::create_directories(path.parent_path());
  plot::save_figure(path, figure);
  progress->message("Done.");
}

void add_toy_plot(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "plot", "Draw distributions, densities and trajectories of two toy networks");
  auto a = std::make_shared<ToyPlotArguments>();
  add_text_option(command, "--net", a->net, "FILE|URL", "Main network", a->net);
  add_text_option(command, "--gnet", a->gnet, "FILE|URL", "Guiding network", a->gnet);
  add_float_option(command, "--guidance", a->guidance, {}, "Guidance weight");
  add_text_option(command, "--save", a->save, "FILE", "PNG, SVG or PDF file to write", "toy.png");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_plot(*a, context); });
}

// ---- edm2 toy explore

struct ExploreArguments {
  std::string net = default_net;
  std::vector<std::string> gnets = {default_gnet, default_unconditional};
  toy::ExploreOptions options;
  double outlier_percent = 0.1;
  std::optional<fs::path> csv, plot, animate;
  int64_t size = 720;
};

void print(const std::vector<toy::ExploreRow>& rows) {
  Table table({"Guide", ">Weight", ">Outliers, %", ">Mean log density", ">Coverage, %"});
  for (const toy::ExploreRow& row : rows) {
    const auto percentage = [](double share) { return format_number("%.2f", 100 * share); };
    table.add({row.guide, format_number("%g", row.guidance), percentage(row.outliers),
               format_number("%.3f", row.mean_log_density), percentage(row.coverage)});
  }
  std::cout << table.text();
}

void animate(const ExploreArguments& a, const toy::Model& net, const toy::Model& guide,
             CommandContext& context) {
  const auto progress = context.progress();
  SamplerOptions sampler = a.options.sampler;
  sampler.guidance = a.options.guidances.back();
  progress->message("Animating guidance weight " + default_text(sampler.guidance) + " ...");
  const Tensor start =
      toy::starting_points(a.options.num_samples, sampler.sigma_max, a.options.seed);
  const auto bytes = toy::animate_trajectories(
      toy::sample_trajectories(net, &guide, start, sampler), a.size, *progress);
  write_file(*a.animate, bytes);
}

void run_explore(ExploreArguments a, CommandContext& context) {
  require_single_process(no_processes);
  validate(a.options.sampler);
  if (a.plot) plot::check_figure_path(*a.plot);
  if (a.animate && a.animate->extension() != ".webp")
    throw UsageError("--animate: the file name must end with .webp");
  a.options.outlier_quantile = a.outlier_percent / 100;
  const auto progress = context.progress();
  progress->message("Loading models...");
  const toy::LearnedModel net(load(a.net, context));
  std::vector<toy::LearnedModel> models;
  models.reserve(a.gnets.size());
  std::vector<toy::NamedGuide> guides;
  for (const std::string& gnet : a.gnets) {
    models.emplace_back(load(gnet, context));
    guides.push_back({fs::path(gnet.substr(gnet.find(':') + 1)).stem().string(), &models.back()});
  }
  const auto rows = toy::explore_guidance(net, guides, a.options, *progress);
  print(rows);
  if (a.csv) write_file(*a.csv, toy::to_csv(rows));
  if (a.plot) plot::save_figure(*a.plot, toy::plot_exploration(rows));
  if (a.animate) animate(a, net, models.front(), context);
}

void add_toy_explore(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "explore", "Compare guides and guidance weights by the samples that leave the data");
  auto a = std::make_shared<ExploreArguments>();
  toy::ExploreOptions& o = a->options;
  add_text_option(command, "--net", a->net, "FILE|URL", "Main network", a->net);
  add_parsed_option(
      command, "--gnet", a->gnets, [](const std::string& text) { return split(text, ','); },
      "FILE|URL,...", "Guiding networks, compared with each other",
      std::string(default_gnet) + "," + default_unconditional);
  add_parsed_option(
      command, "--guidance", o.guidances, [](const std::string& t) { return parse_floats(t); },
      "LIST", "Guidance weights", "1,1.5,2,3,4");
  const auto add = [&](const std::string& name, const std::string& help,
                       const std::string& value_name) {
    add_option(command, in_other_words(sampler_options()[name], help, value_name), o.sampler);
  };
  auto interval = in_other_words(sampler_options()["guidance-interval"],
                                 "Guide only at noise levels in (LOW, HIGH]", "LOW,HIGH");
  interval.default_text = "";
  add_option(command, interval, o.sampler);
  add("solver", "Solver", "STR");
  add("steps", "Sampling steps", "INT");
  add("S_churn", "Stochasticity", "FLOAT");
  add("S_noise", "Noise inflation of churn", "FLOAT");
  add_int_option(command, "--samples", o.num_samples, at_least(int64_t{16}), "Points");
  add_int_option(command, "--seed", o.seed, at_least(int64_t{0}), "Random seed");
  add_float_option(command, "--outlier-percent", a->outlier_percent,
                   {.min = 0, .max = 100, .min_open = true, .max_open = true},
                   "Outliers have a density that only this share of the data falls below");
  add_text_option(command, "--csv", a->csv, "FILE", "Table to write");
  add_text_option(command, "--plot", a->plot, "FILE", "Figure to write: PNG, SVG or PDF");
  add_text_option(command, "--animate", a->animate, "FILE.webp",
                  "Animation to write, of the first guide with the last weight");
  add_int_option(command, "--size", a->size, {.min = 64, .max = 4096}, "Pixels of the animation");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_explore(*a, context); });
}

}  // namespace

void add_toy_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("toy", "The 2D example of autoguidance");
  add_toy_train(group, context);
  add_toy_plot(group, context);
  add_toy_explore(group, context);
}

}  // namespace edm2::cli
