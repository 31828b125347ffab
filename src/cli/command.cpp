#include "cli/command.h"

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "edm2/core/printable.h"
#include "edm2/core/process_launch.h"

namespace edm2::cli {
namespace {

/// The other processes have failed and this one does not come to a point where it would notice.
void end_at_once(const ProcessFailure& failure, bool tell) {
  if (tell) std::fprintf(stderr, "Error: %s\n", printable_lines(failure.describe()).c_str());
  std::fflush(nullptr);
  std::_Exit(failure.exit_code);
}

[[noreturn]] void start_and_wait(int count, const std::vector<std::string>& words) {
  const LaunchResult result = launch_processes(executable_path(), words, count);
  throw ProgramEnd{result.exit_code,
                   result.untold ? std::optional(result.untold->describe()) : std::nullopt};
}

}  // namespace

ProcessGroup& CommandContext::processes() {
  if (group_) return *group_;
  const ProcessEnvironment environment = read_process_environment();
  if (nproc && !started_by_launch()) {
    if (environment.size > 1)
      throw Error("--nproc starts processes, but " + environment.launcher +
                  " has already started " + std::to_string(environment.size) +
                  "; leave one of the two out");
    if (*nproc > 1) start_and_wait(static_cast<int>(*nproc), words);
  }
  if (environment.size > 1) {
    group_ = std::make_unique<ProcessGroup>(
        environment, ProcessGroupOptions{.time_limit = time_limit, .on_stuck = end_at_once});
  } else {
    group_ = ProcessGroup::single();
  }
  if (environment.local_rank > 0 && (device_name == "auto" || device_name == "cuda"))
    device_name = select_device(device_name, environment.local_rank).str();
  return *group_;
}

void require_single_process(const std::string& message) {
  const char* processes = std::getenv("WORLD_SIZE");
  if (processes != nullptr && std::string(processes) != "1") throw Error(message);
}

std::shared_ptr<Progress> CommandContext::progress() {
  if (!progress_) {
    ProgressStyle style = ProgressStyle::automatic;
    if (quiet || (group_ && !group_->is_main()))
      style = ProgressStyle::quiet;
    else if (log_json)
      style = ProgressStyle::json;
    progress_ = make_progress(style);
  }
  return progress_;
}

void add_progress_options(CLI::App& command, CommandContext& context) {
  CLI::Option* quiet =
      add_switch(command, "--quiet", context.quiet, "Print nothing but errors and results");
  CLI::Option* json =
      add_switch(command, "--log-json", context.log_json, "Print progress as lines of JSON");
  quiet->excludes(json);
}

void add_process_options(CLI::App& command, CommandContext& context) {
  add_int_option(command, "--nproc", context.nproc, {.min = 1, .max = 1024},
                 "Start that many processes on this machine, which share the work", "1");
  add_float_option(command, "--time-limit", context.time_limit, greater_than(0.0),
                   "Seconds after which processes give up waiting for each other");
}

void add_cache_option(CLI::App& command, CommandContext& context) {
  add_text_option(command, "--cache-dir", context.fetch.cache_dir, "DIR",
                  "Where downloaded files are kept", "DNNLIB_CACHE_DIR or ~/.cache/dnnlib");
}

void add_fetch_options(CLI::App& command, CommandContext& context) {
  add_switch(command, "--offline", context.fetch.offline, "Use downloaded files, download nothing");
  add_cache_option(command, context);
}

void add_device_options(CLI::App& command, CommandContext& context) {
  add_text_option(command, "--device", context.device_name, "DEVICE",
                  "Where to compute: auto, cpu, cuda or cuda:N", context.device_name);
  add_parsed_option(command, "--precision", context.precision, parse_precision, "TYPE",
                    "Type of the network's activations: auto, fp32, bf16 or fp16", "auto");
}

std::string describe_default(const std::string& default_text, const std::string& range_text) {
  std::string text;
  if (!default_text.empty()) text = "default: " + default_text;
  if (!range_text.empty()) text += (text.empty() ? "" : "; ") + range_text;
  return text.empty() ? text : " [" + text + "]";
}

std::string default_text(const std::string& value) { return value; }
std::string default_text(int64_t value) { return std::to_string(value); }
std::string default_text(double value) { return format_number("%g", value); }

std::string default_text(const OptionDescription& option, const std::optional<OptionValue>& value) {
  if (option.default_text || !value) return option.default_text.value_or("");
  if (const auto* list = std::get_if<std::vector<double>>(&*value)) {
    std::string text;
    for (const double number : *list) text += (text.empty() ? "" : ",") + default_text(number);
    return text;
  }
  if (const auto* number = std::get_if<double>(&*value)) return default_text(*number);
  if (const auto* text = std::get_if<std::string>(&*value)) return *text;
  return edm2::to_json(*value).dump();
}

CLI::Option* add_text_taker(CLI::App& command, const std::string& names,
                            std::function<void(const std::string&)> take,
                            const std::string& value_name, const std::string& description,
                            const std::string& default_text, const std::string& range_text) {
  // "-n,--dry-run" -> "--dry-run": what error messages call the option.
  const std::string name = names.substr(names.rfind(',') + 1);
  const auto take_last = [take = std::move(take), name](const CLI::results_t& texts) {
    try {
      take(texts.back());
    } catch (const UsageError& error) {
      throw UsageError("Invalid value for '" + name + "': " + error.what());
    }
    return true;
  };
  CLI::Option* option = command.add_option(
      names, take_last, description + describe_default(default_text, range_text));
  return option->option_text(value_name);
}

CLI::Option* add_switch(CLI::App& command, const std::string& names, bool& target,
                        const std::string& description) {
  return command.add_flag(names, target, description)->disable_flag_override();
}

}  // namespace edm2::cli
