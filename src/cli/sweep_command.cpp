// edm2 sweep: pictures and scores over EMA length and guidance.
#include "edm2/analysis/sweep.h"

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/core/format_number.h"
#include "edm2/diffusion/sampler_options.h"
#include "edm2/generate/sampling_options.h"

namespace edm2::cli {
namespace {

std::vector<Metric> parse_metrics(const std::string& text) {
  return text == "none" ? std::vector<Metric>() : parse_metric_list(text);
}

void print_best(const SweepOptions& options, const std::vector<SweepCell>& cells,
                Progress& progress) {
  for (const Metric& metric : options.metrics) {
    const SweepCell* best = best_cell(metric, cells);
    if (best == nullptr) continue;
    progress.message("Best " + metric.name + format_number(" = %g", *best->score(metric.name)) +
                     format_number(" at EMA length %.3f", best->std) +
                     format_number(", guidance %g", best->guidance));
  }
}

}  // namespace

void add_sweep_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "sweep", "Draw and measure pictures over a grid of EMA lengths and guidance strengths");
  auto o = std::make_shared<SweepOptions>();
  for (int64_t seed = 0; seed < 16; ++seed) o->seeds.push_back(seed);
  add_text_option(*command, "RUN", o->run, "DIR", "Folder of the snapshots")->required();
  add_parsed_option(*command, "--stds", o->stds, parse_std_list, "LIST",
                    "EMA lengths, such as 0.05,0.10,...,0.25")
      ->required();
  add_parsed_option(
      *command, "--guidances", o->guidances,
      [](const std::string& text) { return parse_floats(text); }, "LIST",
      "Guidance strengths, such as 1,1.5,2", "1");
  add_text_option(*command, "--gnet", o->gnet, "FILE|URL|DIR",
                  "Snapshot of the guiding network; the folder of a run means that run with the "
                  "EMA length of the main network");
  add_int_option(*command, "--kimg", o->kimg, at_least(int64_t{1}),
                 "Training time, in thousands of images", "latest");
  add_text_option(*command, "--outdir", o->outdir, "DIR", "Where to save the results")->required();
  add_parsed_option(*command, "--metric", o->metrics, parse_metrics, "LIST",
                    "Metrics to compute, between commas, or none", "none");
  add_text_option(*command, "--ref", o->ref, "FILE|URL", "Statistics of the reference");
  add_text_option(*command, "--ref-features", o->ref_features, "FILE",
                  "Features of the reference, for kid, precision, recall, ...");
  add_int_option(*command, "--num", o->num, at_least(int64_t{2}), "Pictures to measure");
  add_text_option(*command, "--inception", o->detectors.inception, "FILE|URL",
                  "Weights of InceptionV3");
  add_text_option(*command, "--dinov2", o->detectors.dinov2, "FILE|URL", "Weights of DINOv2");
  add_parsed_option(*command, "--seeds", o->seeds, parse_int_list, "LIST",
                    "Random seeds of the pictures that are shown", "0-15");
  add_option(*command, class_option<SweepOptions>(), *o);
  add_option(*command, batch_option<SweepOptions>(), *o);
  add_option(*command, sampler_options()["steps"], o->sampler);
  add_option(*command,
             in_other_words(sampler_options()["solver"], "Solver; edm2 generate --help lists them",
                            "NAME"),
             o->sampler);
  add_text_option(*command, "--vae", o->vae, "FILE|URL|ID",
                  "The VAE of latent networks, if it is not where the snapshot says");
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_process_options(*command, context);
  add_progress_options(*command, context);
  command->callback([o, &context] {
    validate(*o);
    ProcessGroup& group = context.processes();
    context.fill(*o);
    const auto progress = context.progress();
    print_best(*o, sweep(*o, group, *progress), *progress);
  });
}

}  // namespace edm2::cli
