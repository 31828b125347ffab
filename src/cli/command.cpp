#include "cli/command.h"

#include <sstream>

namespace edm2::cli {

std::shared_ptr<Progress> CommandContext::progress() {
  if (!progress_) {
    ProgressStyle style = ProgressStyle::automatic;
    if (quiet) style = ProgressStyle::quiet;
    if (log_json) style = ProgressStyle::json;
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

void add_fetch_options(CLI::App& command, CommandContext& context) {
  add_switch(command, "--offline", context.fetch.offline, "Use downloaded files, download nothing");
  add_text_option(command, "--cache-dir", context.fetch.cache_dir, "DIR",
                  "Where downloaded files are kept", "DNNLIB_CACHE_DIR or ~/.cache/dnnlib");
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
std::string default_text(double value) {
  std::ostringstream stream;
  stream << value;
  return stream.str();
}

CLI::Option* add_switch(CLI::App& command, const std::string& names, bool& target,
                        const std::string& description) {
  return command.add_flag(names, target, description)->disable_flag_override();
}

}  // namespace edm2::cli
