// edm2 bench: how fast this machine is at what the program does.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/analysis/sample_benchmark.h"
#include "edm2/analysis/train_benchmark.h"
#include "edm2/core/format_number.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/presets.h"
#include "edm2/train/train_options.h"

namespace edm2::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchTrainArguments {
  std::vector<std::string> presets = {"edm2-img512-xs"};
  std::vector<Precision> precisions;
  std::optional<int64_t> batch, resolution, img_channels, classes, channels, num_blocks,
      channels_per_head;
  std::optional<std::vector<int64_t>> channel_mult, attn_resolutions;
  std::optional<double> dropout;
  double seconds = TrainBenchmarkOptions().seconds;
  bool json = false;
};

struct BenchSubject {
  NetworkOptions network;
  int64_t batch = 4;
};

/// The network of docs/demo.md as it is trained there, or that of a training preset.
BenchSubject find_bench_subject(const std::string& preset) {
  BenchSubject subject;
  NetworkOptions& net = subject.network;
  if (preset == "demo") {
    net.img_resolution = 32;
    net.img_channels = 3;
    net.label_dim = 9;
    net.model_channels = 32;
    net.channel_mult = {1, 2, 2};
    net.num_blocks = 1;
    net.attn_resolutions = {8};
    net.channels_per_head = 32;
    subject.batch = 64;
    return subject;
  }
  TrainOptions train;
  apply_training_preset(train, preset);
  net = train.network;
  net.img_resolution = 64;
  net.img_channels = preset.find("img512") != std::string::npos ? 4 : 3;
  net.label_dim = 1000;
  return subject;
}

TrainBenchmarkOptions to_options(const BenchTrainArguments& a, const std::string& preset,
                                 Precision precision, c10::Device device) {
  const BenchSubject subject = find_bench_subject(preset);
  TrainBenchmarkOptions o;
  o.network = subject.network;
  o.batch = a.batch.value_or(subject.batch);
  o.precision = precision;
  o.device = device;
  o.seconds = a.seconds;
  take_if_given(a.resolution, o.network.img_resolution);
  take_if_given(a.img_channels, o.network.img_channels);
  take_if_given(a.classes, o.network.label_dim);
  take_if_given(a.channels, o.network.model_channels);
  take_if_given(a.channel_mult, o.network.channel_mult);
  take_if_given(a.num_blocks, o.network.num_blocks);
  take_if_given(a.attn_resolutions, o.network.attn_resolutions);
  take_if_given(a.channels_per_head, o.network.channels_per_head);
  take_if_given(a.dropout, o.network.dropout);
  validate(o.network);
  return o;
}

std::string type_name(const NetworkOptions& network, Precision precision, c10::Device device) {
  return precision_name(activation_dtype(precision, network.use_fp16, device));
}

Json to_json(const std::string& preset, const TrainBenchmarkOptions& o, const TrainBenchmark& r) {
  return {{"preset", preset},
          {"device", o.device.str()},
          {"precision", type_name(o.network, o.precision, o.device)},
          {"batch", o.batch},
          {"resolution", o.network.img_resolution},
          {"img_channels", o.network.img_channels},
          {"channels", o.network.model_channels},
          {"parameters", r.parameters},
          {"rounds", r.rounds},
          {"seconds_per_step", r.step},
          {"forward_seconds", r.forward},
          {"backward_seconds", r.backward},
          {"update_seconds", r.update},
          {"convolution_floor_seconds", r.convolutions},
          {"ratio", r.ratio},
          {"images_per_second", r.images_per_second},
          {"peak_memory_bytes", r.peak_memory}};
}

void run_bench_train(const BenchTrainArguments& a, CommandContext& context) {
  require_single_process();
  const c10::Device device = select_device(context.device_name);
  const std::vector<Precision> precisions =
      a.precisions.empty() ? std::vector{context.precision} : a.precisions;
  std::vector<std::pair<std::string, TrainBenchmarkOptions>> subjects;
  for (const std::string& preset : a.presets)
    for (const Precision precision : precisions)
      subjects.emplace_back(preset, to_options(a, preset, precision, device));

  Json list = Json::array();
  Table table({"Network", "Type", ">Batch", ">Images/s", ">ms/step", ">Forward", ">Backward",
               ">Update", ">Convolutions alone", ">Step/convolutions", ">Peak memory"});
  for (const auto& [preset, options] : subjects) {
    const TrainBenchmark r = benchmark_training(options);
    const auto ms = [](double seconds) { return format_number("%.1f", seconds * 1e3); };
    table.add({preset, type_name(options.network, options.precision, options.device),
               std::to_string(options.batch), format_number("%.2f", r.images_per_second),
               ms(r.step), ms(r.forward), ms(r.backward), ms(r.update), ms(r.convolutions),
               format_number("%.3f", r.ratio),
               format_number("%.2f GiB", r.peak_memory / (1 << 30))});
    list.push_back(to_json(preset, options, r));
  }
  std::cout << (a.json ? list.dump(2) + "\n" : table.text());
}

std::vector<std::string> parse_words(const std::string& text) {
  std::vector<std::string> words;
  std::stringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  if (words.empty()) throw UsageError("the list is empty");
  return words;
}

std::vector<Precision> parse_precisions(const std::string& text) {
  std::vector<Precision> list;
  for (const std::string& word : parse_words(text)) list.push_back(parse_precision(word));
  return list;
}

void add_train_benchmark(CLI::App& bench, CommandContext& context) {
  CLI::App* command = bench.add_subcommand(
      "train", "Speed of training steps on random images, against the convolutions alone");
  auto a = std::make_shared<BenchTrainArguments>();
  add_parsed_option(*command, "--preset", a->presets, parse_words, "LIST",
                    "Networks: presets of 'edm2 train', or demo", a->presets.front());
  add_parsed_option(*command, "--precisions", a->precisions, parse_precisions, "LIST",
                    "Several precisions, one after the other", "--precision");
  add_int_option(*command, "--batch", a->batch, at_least(int64_t{1}), "Images per step",
                 "4; demo 64");
  add_int_option(*command, "--resolution", a->resolution, at_least(int64_t{1}),
                 "Height and width of images or latents", "64; demo 32");
  add_int_option(*command, "--img-channels", a->img_channels, at_least(int64_t{1}),
                 "Channels of images or latents", "4 for img512, else 3");
  add_int_option(*command, "--classes", a->classes, at_least(int64_t{0}), "Number of classes",
                 "1000; demo 9");
  add_int_option(*command, "--channels", a->channels, at_least(int64_t{1}),
                 "Width of the network's first level", "preset");
  const auto ints = [](const std::string& text) { return parse_ints(text, at_least(int64_t{1})); };
  add_parsed_option(*command, "--channel-mult", a->channel_mult, ints, "LIST",
                    "Width of each level, relative to --channels", "preset", "x>=1");
  add_int_option(*command, "--num-blocks", a->num_blocks, at_least(int64_t{1}),
                 "Residual blocks per level", "preset");
  add_parsed_option(*command, "--attn-resolutions", a->attn_resolutions, ints, "LIST",
                    "Resolutions with self-attention", "preset", "x>=1");
  add_int_option(*command, "--channels-per-head", a->channels_per_head, at_least(int64_t{1}),
                 "Channels of an attention head", "preset");
  add_float_option(*command, "--dropout", a->dropout, {.min = 0.0, .max = 1.0},
                   "Dropout probability", "preset");
  add_float_option(*command, "--seconds", a->seconds, at_least(0.0),
                   "Measure each network for about that long");
  add_switch(*command, "--json", a->json, "Print a list of objects instead of a table");
  add_device_options(*command, context);
  command->callback([a, &context] { run_bench_train(*a, context); });
}

struct BenchSampleArguments {
  std::vector<std::string> nets, presets;
  bool random_weights = false;
  std::vector<Precision> precisions = {Precision::automatic};
  std::vector<int64_t> batches = {4};
  std::vector<std::string> devices = {"auto"};
  std::vector<EngineKind> engines = {EngineKind::automatic};
  double seconds = SampleBenchmarkOptions().seconds;
  bool json = false;
};

/// What a preset of generate or train says of the network: "edm2-img512-xs-fid" as
/// "edm2-img512-xs".
NetworkOptions architecture_of(const std::string& preset) {
  for (const GeneratePreset& known : generate_presets())
    if (known.name == preset && preset != "demo")
      return find_bench_subject(preset.substr(0, preset.find('-', preset.find("-img") + 8)))
          .network;
  return find_bench_subject(preset).network;
}

struct BenchNetwork {
  std::string name;
  NetworkOptions options;
  std::function<StoredSnapshot()> open;  // anew for each case, so that memory holds it once
};

std::vector<BenchNetwork> find_networks(const BenchSampleArguments& a, CommandContext& context) {
  if (a.random_weights && !a.nets.empty())
    throw UsageError("--random-weights goes with --preset; a network of --net has weights");
  std::vector<BenchNetwork> networks;
  const auto load = [&](const std::string& name, const std::string& source) {
    const auto quiet = make_progress(ProgressStyle::quiet);
    const auto open = [network = find_network(source, context.fetch, *quiet), quiet, &context] {
      return open_network_source(network, context.fetch, *quiet);
    };
    networks.push_back({name, open().description().network, open});
  };
  for (const std::string& net : a.nets) load(net, net);
  std::vector<std::string> presets = a.presets;
  const bool by_default = a.nets.empty() && presets.empty();
  if (by_default) presets = {"edm2-img512-xs"};
  for (const std::string& preset : presets)
    if (a.random_weights || by_default) {
      const NetworkOptions options = architecture_of(preset);
      networks.push_back({preset, options, [options] { return random_network(options); }});
    } else {
      load(preset, find_generate_preset(preset).net);
    }
  return networks;
}

std::string engine_of(const NetworkOptions& net, const SampleBenchmarkOptions& o) {
  if (!engine_takes(net, o.precision, o.device, o.engine)) return "reference";
  if (o.engine == EngineKind::int8) return "int8";
  return o.engine == EngineKind::fast ? "fast" : "engine";
}

Json to_json(const BenchNetwork& network, const SampleBenchmarkOptions& o,
             const SampleBenchmark& r) {
  const NetworkOptions& net = network.options;
  return {{"net", network.name},
          {"device", o.device.str()},
          {"engine", engine_of(net, o)},
          {"precision", type_name(net, o.precision, o.device)},
          {"batch", o.batch},
          {"resolution", net.img_resolution},
          {"img_channels", net.img_channels},
          {"parameters", r.parameters},
          {"rounds", r.rounds},
          {"seconds_per_image_evaluation", r.seconds_per_image_evaluation},
          {"convolution_floor_seconds", r.convolution_floor_seconds},
          {"ratio", r.ratio},
          {"images_per_second", 1 / (r.seconds_per_image_evaluation * 63)},
          {"flops", r.flops},
          {"flops_per_second", r.flops / r.seconds_per_image_evaluation},
          {"setup_seconds", r.setup_seconds},
          {"first_evaluation_seconds", r.first_seconds},
          {"peak_memory_bytes", r.peak_memory}};
}

void run_bench_sample(const BenchSampleArguments& a, CommandContext& context) {
  require_single_process();
  Json list = Json::array();
  Table table({"Network", "Engine", "Type", ">Batch", ">Pictures/s", ">ms/evaluation",
               ">Convolutions alone", ">Evaluation/convolutions", ">GFLOP/s", ">Peak memory"});
  for (const BenchNetwork& network : find_networks(a, context))
    for (const std::string& device : a.devices)
      for (const EngineKind engine : a.engines)
        for (const Precision precision : a.precisions)
          for (const int64_t batch : a.batches) {
            const SampleBenchmarkOptions o{.batch = batch,
                                           .precision = precision,
                                           .device = select_device(device),
                                           .engine = engine,
                                           .seconds = a.seconds};
            const SampleBenchmark r = benchmark_sampling(network.open(), o);
            const auto ms = [](double seconds) { return format_number("%.1f", seconds * 1e3); };
            // 32 steps of Heun's method, as generate does by default, evaluate 63 times.
            table.add({network.name, engine_of(network.options, o),
                       type_name(network.options, precision, o.device), std::to_string(batch),
                       format_number("%.3f", 1 / (63 * r.seconds_per_image_evaluation)),
                       ms(r.seconds_per_image_evaluation), ms(r.convolution_floor_seconds),
                       format_number("%.3f", r.ratio),
                       format_number("%.1f", r.flops / r.seconds_per_image_evaluation / 1e9),
                       format_number("%.2f GiB", r.peak_memory / (1 << 30))});
            list.push_back(to_json(network, o, r));
          }
  std::cout << (a.json ? list.dump(2) + "\n" : table.text());
}

void add_sample_benchmark(CLI::App& bench, CommandContext& context) {
  CLI::App* command = bench.add_subcommand(
      "sample", "Speed of a network's evaluations, against its convolutions alone");
  auto a = std::make_shared<BenchSampleArguments>();
  add_parsed_option(*command, "--net", a->nets, parse_words, "LIST",
                    "Snapshots: files, addresses, RUN@STD", "random EDM2-XS");
  add_parsed_option(*command, "--preset", a->presets, parse_words, "LIST",
                    "Networks of presets of 'edm2 generate'; with --random-weights also of 'edm2 "
                    "train', or demo");
  add_switch(*command, "--random-weights", a->random_weights,
             "Networks of --preset with random weights: nothing is downloaded");
  add_parsed_option(*command, "--precision", a->precisions, parse_precisions, "LIST",
                    "Types of activations: auto, fp32, bf16, fp16", "auto");
  add_parsed_option(
      *command, "--batch", a->batches,
      [](const std::string& text) { return parse_ints(text, at_least(int64_t{1})); }, "LIST",
      "Pictures evaluated together", "4", "x>=1");
  add_parsed_option(*command, "--device", a->devices, parse_words, "LIST",
                    "Where to compute: auto, cpu, cuda or cuda:N", "auto");
  add_parsed_option(
      *command, "--engine", a->engines,
      [](const std::string& text) {
        std::vector<EngineKind> engines;
        for (const std::string& word : parse_words(text)) engines.push_back(parse_engine(word));
        return engines;
      },
      "LIST", "What computes: auto, fast, int8, reference", "auto");
  add_float_option(*command, "--seconds", a->seconds, at_least(0.0),
                   "Measure each case for about that long");
  add_switch(*command, "--json", a->json, "Print a list of objects instead of a table");
  add_fetch_options(*command, context);
  command->callback([a, &context] { run_bench_sample(*a, context); });
}

}  // namespace

void add_bench_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand("bench", "Measure how fast this machine is");
  command->require_subcommand(1);
  add_sample_benchmark(*command, context);
  add_train_benchmark(*command, context);
}

}  // namespace edm2::cli
