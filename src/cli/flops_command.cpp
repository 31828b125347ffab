// edm2 flops: the original's count_flops.py, and more.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "edm2/analysis/machine_speed.h"
#include "edm2/analysis/operation_counts.h"
#include "edm2/core/format_number.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/presets.h"
#include "edm2/nn/snapshot_index.h"
#include "edm2/nn/weights_file.h"
#include "edm2/train/train_options.h"

namespace edm2::cli {
namespace {

using Json = nlohmann::ordered_json;

struct FlopsArguments {
  std::optional<std::string> net, preset;
  std::optional<std::filesystem::path> config;
  bool conditional = true;
  int64_t batch = 1;
  bool layers = false, no_time = false, json = false;
};

/// The network to count, and how its weights are stored.
struct Subject {
  std::string name;
  NetworkOptions options;
  int64_t weight_bytes = 2;
};

Subject read_file(const std::string& source, const FetchOptions& fetch, Progress& progress) {
  progress.message("Loading network from " + source + " ...");
  const auto path = find_network_file(source, fetch, progress);
  SnapshotIndex index;
  try {
    index = index_snapshot(path);
  } catch (const Error&) {  // bare tensors, a training state
    const Snapshot snapshot = load_weights(path).snapshot;
    return {source, snapshot.network, snapshot.tensors.front().second.element_size()};
  }
  if (!index.network) return {source, load_weights(path).snapshot.network};
  return {source, index.network->network,
          static_cast<int64_t>(c10::elementSize(index.tensors.front().dtype))};
}

/// Of a training preset by its options; of a preset for generation by the name of its network.
Subject find_preset(const FlopsArguments& a, const FetchOptions& fetch, Progress& progress) {
  const std::vector<std::string> names = training_preset_names();
  if (std::find(names.begin(), names.end(), *a.preset) != names.end()) {
    TrainOptions train;
    apply_training_preset(train, *a.preset);
    train.network.img_resolution = 64;
    train.network.img_channels = a.preset->find("img512") != std::string::npos ? 4 : 3;
    train.network.label_dim = a.conditional ? 1000 : 0;
    return {*a.preset, train.network};
  }
  const GeneratePreset& preset = find_generate_preset(*a.preset);
  if (const auto published = describe_published_network(preset.net))
    return {*a.preset, published->options};
  return read_file(preset.net, fetch, progress);
}

Subject find_subject(const FlopsArguments& a, const FetchOptions& fetch, Progress& progress) {
  if (a.net.has_value() + a.preset.has_value() + a.config.has_value() != 1)
    throw UsageError("Give one of NET, --preset and --config.");
  if (a.net) return read_file(*a.net, fetch, progress);
  if (a.preset) return find_preset(a, fetch, progress);
  return {a.config->string(), read_config_file(*a.config).network};
}

std::string number(double value, const char* format = "%.2f") {
  return format_number(format, value);
}

std::string megabytes(double bytes) { return number(bytes / 1e6) + " MB"; }

/// Sums that the report and the JSON share.
struct Costs {
  double stored_weights = 0, moved = 0, moved_for_weights = 0;
  std::optional<MachineSpeed> machine;
  std::optional<double> seconds;
};

Costs sum_up(const Subject& subject, const ForwardPass& pass) {
  Costs costs;
  costs.stored_weights =
      static_cast<double>(count_parameters(subject.options) * subject.weight_bytes);
  for (const Operation& operation : pass.operations) {
    costs.moved += operation.bytes;
    if (operation.on_weights) costs.moved_for_weights += operation.bytes;
  }
  return costs;
}

void print_layers(const ForwardPass& pass, const Costs& costs) {
  std::vector<std::string> header = {"Layer", ">Operations", ">Gflops", ">MB moved"};
  if (costs.machine) header.emplace_back(">ms");
  Table table(header);
  for (const OperationTotal& total : totals_by_layer(pass.operations)) {
    std::vector<std::string> row = {total.name.empty() ? "(preconditioning)" : total.name,
                                    std::to_string(total.count), number(total.flops / 1e9, "%.3f"),
                                    number(total.bytes / 1e6)};
    if (costs.machine) {
      std::vector<Operation> own;
      for (const Operation& operation : pass.operations)
        if (operation.layer == total.name) own.push_back(operation);
      row.push_back(number(estimate_seconds(own, *costs.machine) * 1e3));
    }
    table.add(std::move(row));
  }
  std::cout << table.text() << '\n';
}

void print_report(const FlopsArguments& a, const Subject& subject, const ForwardPass& pass,
                  const Costs& costs, const std::string& dtype, const std::string& device) {
  std::cout << flops_report(subject.options);
  if (a.layers) print_layers(pass, costs);
  std::cout << "One evaluation of " << a.batch << (a.batch == 1 ? " image, " : " images, ") << dtype
            << " activations:\n"
            << "Weights       " << megabytes(costs.stored_weights) << " stored\n"
            << "Activations   " << megabytes(static_cast<double>(pass.peak_activations))
            << " alive at most, " << megabytes(static_cast<double>(pass.peak_memory))
            << " with the weights of a layer as it uses them\n"
            << "Bytes moved   " << megabytes(costs.moved) << ", of which "
            << megabytes(costs.moved_for_weights) << " normalise weights\n";
  if (!costs.machine) return;
  std::cout << "Speed         ";
  for (const auto& level : costs.machine->levels)
    std::cout << level.resolution << "x" << level.resolution << ": "
              << number(level.flops_per_second / 1e9, "%.1f") << " Gflops/s, "
              << number(level.bytes_per_second / 1e9, "%.1f") << " GB/s; ";
  std::cout << "weights: " << number(costs.machine->weight_bytes_per_second / 1e9, "%.1f")
            << " GB/s (" << device << ")\n"
            << "Time          about " << number(*costs.seconds, "%.3g") << " s\n";
}

Json to_json(const Subject& subject, const FlopsArguments& a, const ForwardPass& pass,
             const Costs& costs) {
  Json json = {{"network", subject.name}, {"parameters", count_parameters(subject.options)}};
  double flops = 0;
  const auto table = [](const std::vector<OperationTotal>& totals) {
    Json rows = Json::array();
    for (const OperationTotal& total : totals)
      rows.push_back({{"name", total.name},
                      {"count", total.count},
                      {"flops", total.flops},
                      {"bytes", total.bytes}});
    return rows;
  };
  // As in the report, of one image.
  const ForwardPass one = trace_forward_pass(subject.options);
  for (const Operation& operation : one.operations) flops += operation.flops;
  json["flops"] = flops;
  json["operations"] = table(totals_by_name(one.operations));
  json["batch"] = a.batch;
  if (a.layers) json["layers"] = table(totals_by_layer(pass.operations));
  json["weight_bytes"] = costs.stored_weights;
  json["peak_activation_bytes"] = pass.peak_activations;
  json["peak_memory_bytes"] = pass.peak_memory;
  json["bytes_moved"] = costs.moved;
  json["bytes_moved_for_weights"] = costs.moved_for_weights;
  if (!costs.machine) return json;
  for (const auto& level : costs.machine->levels)
    json["speed"].push_back({{"resolution", level.resolution},
                             {"flops_per_second", level.flops_per_second},
                             {"bytes_per_second", level.bytes_per_second}});
  json["weight_bytes_per_second"] = costs.machine->weight_bytes_per_second;
  json["seconds"] = *costs.seconds;
  return json;
}

void run_flops(const FlopsArguments& a, CommandContext& context) {
  require_single_process();
  const auto progress = a.json ? make_progress(ProgressStyle::quiet) : context.progress();
  const Subject subject = find_subject(a, context.fetch, *progress);
  const c10::Device device = select_device(context.device_name);
  const auto dtype = activation_dtype(context.precision, subject.options.use_fp16, device);
  const ForwardPass pass = trace_forward_pass(
      subject.options,
      {a.batch, static_cast<int64_t>(c10::elementSize(dtype)), subject.weight_bytes});
  Costs costs = sum_up(subject, pass);
  if (!a.no_time) {
    costs.machine = measure_machine(subject.options, a.batch, dtype, device);
    costs.seconds = estimate_seconds(pass.operations, *costs.machine);
  }
  if (a.json)
    std::cout << to_json(subject, a, pass, costs).dump(2) << '\n';
  else
    print_report(a, subject, pass, costs,
                 dtype == at::kFloat  ? "float32"
                 : dtype == at::kHalf ? "float16"
                                      : "bfloat16",
                 device.str());
}

}  // namespace

void add_flops_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "flops", "Count the operations of a network, its memory traffic and time on this machine");
  auto a = std::make_shared<FlopsArguments>();
  add_text_option(*command, "NET", a->net, "FILE|URL", "Snapshot of the network");
  add_text_option(*command, "--preset", a->preset, "STR",
                  "Instead of NET: the network of a preset of edm2 train or edm2 generate");
  add_text_option(*command, "--config", a->config, "FILE",
                  "Instead of NET: a configuration in JSON, such as edm2 info --json prints");
  add_bool_option(*command, "--cond", a->conditional,
                  "With a training preset: the class-conditional network", "true");
  add_int_option(*command, "--batch", a->batch, at_least(int64_t{1}),
                 "Images evaluated together, for memory and time");
  add_switch(*command, "--layers", a->layers, "List the layers, too");
  add_switch(*command, "--no-time", a->no_time, "Do not measure this machine");
  add_switch(*command, "--json", a->json, "Print JSON");
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] { run_flops(*a, context); });
}

}  // namespace edm2::cli
