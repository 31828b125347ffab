// edm2 metrics calc, gen and ref: options of the original's calculate_metrics.py, and more.
#include "cli/command.h"
#include "cli/metrics_options.h"
#include "edm2/generate/sampling_options.h"

namespace edm2::cli {
namespace {

struct EvaluateArguments {
  EvaluateOptions options;
  bool json = false;
};

void add_reference_options(CLI::App& command, EvaluateOptions& o) {
  add_text_option(command, "--ref", o.ref, "FILE|URL",
                  "Statistics of the reference, .pkl or .npz: for fid and fd_dinov2");
  add_text_option(command, "--ref-features", o.ref_features, "FILE|URL",
                  "Features of the reference, made by edm2 metrics ref --features: for kid, "
                  "precision, recall, density and coverage");
}

void add_result_options(CLI::App& command, EvaluateArguments& a) {
  add_switch(command, "--error-bars", a.options.error_bars,
             "Standard error and bias of fid and fd_dinov2 too");
  add_text_option(command, "--stats", a.options.stats, "FILE",
                  "Write the statistics of the pictures, .pkl or .npz");
  add_text_option(command, "--features", a.options.features, "FILE",
                  "Write the features of the pictures, .npz");
  add_text_option(command, "--manifest", a.options.manifest, "FILE",
                  "Write what the scores rest on, for edm2 metrics verify");
  add_json_option(command, a.json);
}

void run_metrics_evaluate(EvaluateArguments& a, CommandContext& context) {
  EvaluateOptions& o = a.options;
  o.fetch = context.fetch;
  validate(o);
  ProcessGroup& group = context.processes();
  o.device = context.device_name;
  ScorePrinter print(a.json, context);
  evaluate(o, group, *context.progress(), [&](const Score& score) { print(score); });
  if (group.is_main()) print.finish();
}

void run_ref(ReferenceOptions& o, CommandContext& context) {
  o.fetch = context.fetch;
  o.detectors.precision = context.precision;
  validate(o);
  ProcessGroup& group = context.processes();
  o.device = context.device_name;
  make_reference(o, group, *context.progress());
}

}  // namespace

void add_metrics_calc(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand("calc", "Scores of existing pictures");
  auto a = std::make_shared<EvaluateArguments>();
  PictureInput& input = a->options.pictures.emplace();
  input.num = 50'000;
  add_text_option(command, "--images", input.path, "DIR|ZIP|NPZ|URL", "The pictures")->required();
  add_reference_options(command, a->options);
  add_metrics_option(command, a->options.metrics);
  add_int_option(command, "--num", input.num, at_least(int64_t{2}), "Number of pictures to use");
  add_switch(command, "--allow-fewer", input.allow_fewer,
             "Take what there is if it is less than --num");
  add_int_option(command, "--seed", input.seed, {}, "Random seed that chooses the pictures");
  add_int_option(command, "--batch", input.max_batch_size, at_least(int64_t{1}),
                 "Pictures that go through a detector together");
  add_int_option(command, "--workers", input.workers, at_least(int64_t{0}),
                 "Threads that decode pictures ahead");
  add_result_options(command, *a);
  add_detector_options(command, a->options.detectors);
  add_fetch_options(command, context);
  add_device_options(command, context);
  add_process_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] {
    a->options.detectors.precision = context.precision;
    run_metrics_evaluate(*a, context);
  });
}

void add_metrics_gen(CLI::App& group, CommandContext& context) {
  CLI::App& command =
      *group.add_subcommand("gen", "Scores of pictures that a network draws on the way");
  auto a = std::make_shared<EvaluateArguments>();
  auto sampling = std::make_shared<SamplingRequest>();
  NetworkInput& input = a->options.network.emplace();
  add_options(command, network_options(), *sampling);
  add_reference_options(command, a->options);
  add_metrics_option(command, a->options.metrics);
  add_int_option(command, "--num", input.num, at_least(int64_t{2}), "Number of pictures to draw");
  add_int_option(command, "--seed", input.first_seed, {}, "Random seed of the first picture");
  add_options(command, label_options(), *sampling);
  add_options(command, solver_options(), *sampling);
  add_result_options(command, *a);
  add_detector_options(command, a->options.detectors);
  add_parsed_option(command, "--detector-precision", a->options.detectors.precision,
                    parse_precision, "TYPE",
                    "Type of the detectors' activations: auto (fp32), fp32, bf16 or fp16", "auto");
  add_fetch_options(command, context);
  add_device_options(command, context);
  add_process_options(command, context);
  add_progress_options(command, context);
  command.callback([a, sampling, &context] {
    if (!sampling->net && !sampling->preset) throw UsageError("Missing option '--net'.");
    GenerateOptions& drawing = a->options.network->sampling;
    apply(*sampling, drawing);
    context.fill(drawing);
    run_metrics_evaluate(*a, context);
  });
}

void add_metrics_ref(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand("ref", "Reference statistics of a dataset");
  auto o = std::make_shared<ReferenceOptions>();
  add_text_option(command, "--data", o->data, "DIR|ZIP|NPZ|URL", "The dataset: all of its pictures")
      ->required();
  add_text_option(command, "--dest", o->dest, "FILE", "Statistics to write, .pkl or .npz")
      ->required();
  add_metrics_option(command, o->metrics);
  add_text_option(command, "--features", o->features, "FILE",
                  "Write the features too, .npz: for kid, precision, recall, ...");
  add_int_option(command, "--batch", o->max_batch_size, at_least(int64_t{1}),
                 "Pictures that go through a detector together");
  add_int_option(command, "--workers", o->workers, at_least(int64_t{0}),
                 "Threads that decode pictures ahead");
  add_detector_options(command, o->detectors);
  add_fetch_options(command, context);
  add_device_options(command, context);
  add_process_options(command, context);
  add_progress_options(command, context);
  command.callback([o, &context] { run_ref(*o, context); });
}

}  // namespace edm2::cli
