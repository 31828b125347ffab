// edm2 bench: how fast this machine is at what the program does.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/analysis/train_benchmark.h"
#include "edm2/train/train_options.h"

namespace edm2::cli {
namespace {

using Json = nlohmann::ordered_json;

struct TrainArguments {
  std::vector<std::string> presets = {"edm2-img512-xs"};
  std::vector<Precision> precisions;
  std::optional<int64_t> batch, resolution, img_channels, classes, channels, num_blocks,
      channels_per_head;
  std::optional<std::vector<int64_t>> channel_mult, attn_resolutions;
  std::optional<double> dropout;
  double seconds = TrainBenchmarkOptions().seconds;
  bool json = false;
};

struct Subject {
  NetworkOptions network;
  int64_t batch = 4;
};

/// The network of docs/demo.md as it is trained there, or that of a training preset.
Subject find_subject(const std::string& preset) {
  Subject subject;
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

template <class T, class U>
void take_if_given(const std::optional<T>& given, U& target) {
  if (given) target = *given;
}

TrainBenchmarkOptions to_options(const TrainArguments& a, const std::string& preset,
                                 Precision precision, c10::Device device) {
  const Subject subject = find_subject(preset);
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

std::string type_name(const TrainBenchmarkOptions& o) {
  switch (activation_dtype(o.precision, o.network.use_fp16, o.device)) {
    case c10::kBFloat16:
      return "bf16";
    case c10::kHalf:
      return "fp16";
    default:
      return "fp32";
  }
}

std::string number(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

Json to_json(const std::string& preset, const TrainBenchmarkOptions& o, const TrainBenchmark& r) {
  return {{"preset", preset},
          {"device", o.device.str()},
          {"precision", type_name(o)},
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

void run_train(const TrainArguments& a, CommandContext& context) {
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
    const auto ms = [](double seconds) { return number(seconds * 1e3, "%.1f"); };
    table.add({preset, type_name(options), std::to_string(options.batch),
               number(r.images_per_second, "%.2f"), ms(r.step), ms(r.forward), ms(r.backward),
               ms(r.update), ms(r.convolutions), number(r.ratio, "%.3f"),
               number(r.peak_memory / (1 << 30), "%.2f GiB")});
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

void add_train_benchmark(CLI::App& bench, CommandContext& context) {
  CLI::App* command = bench.add_subcommand(
      "train", "Speed of training steps on random images, against the convolutions alone");
  auto a = std::make_shared<TrainArguments>();
  add_parsed_option(*command, "--preset", a->presets, parse_words, "LIST",
                    "Networks: presets of 'edm2 train', or demo", a->presets.front());
  add_parsed_option(
      *command, "--precisions", a->precisions,
      [](const std::string& text) {
        std::vector<Precision> list;
        for (const std::string& word : parse_words(text)) list.push_back(parse_precision(word));
        return list;
      },
      "LIST", "Several precisions, one after the other", "--precision");
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
  command->callback([a, &context] { run_train(*a, context); });
}

}  // namespace

void add_bench_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand("bench", "Measure how fast this machine is");
  command->require_subcommand(1);
  add_train_benchmark(*command, context);
}

}  // namespace edm2::cli
