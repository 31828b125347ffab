// edm2 info: what a file is and holds.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/analysis/file_info.h"
#include "edm2/generate/network_source.h"

namespace edm2::cli {
namespace {

struct InfoArguments {
  std::string file;
  FileInfoOptions options;
  bool no_values = false, json = false;
};

void run_info(const InfoArguments& a, CommandContext& context) {
  FileInfoOptions options = a.options;
  options.values = !a.no_values;
  // Nothing but the description goes to standard output.
  const auto progress = a.json ? make_progress(ProgressStyle::quiet) : context.progress();
  const auto path = find_network_file(a.file, context.fetch, *progress);
  const auto info = describe_file(path, options);
  if (a.json)
    std::cout << info.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  else
    std::cout << file_info_text(info);
}

}  // namespace

void add_info_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "info", "Tell what a network, training state, run, dataset or statistics file holds");
  auto a = std::make_shared<InfoArguments>();
  add_text_option(*command, "FILE", a->file, "FILE|DIR|URL", "What to look at")->required();
  add_switch(*command, "--layers", a->options.layers, "List every tensor");
  add_switch(*command, "--no-values", a->no_values,
             "Do not look at the values of tensors (quicker for large files)");
  add_switch(*command, "--json", a->json, "Print JSON; edm2 convert --config reads it");
  add_fetch_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] { run_info(*a, context); });
}

}  // namespace edm2::cli
