// edm2 metrics verify: are recorded scores those of these files?
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/metrics_options.h"
#include "edm2/metrics/verify.h"

namespace edm2::cli {
namespace {

struct VerifyArguments {
  VerifyOptions options;
  bool json = false;
};

void print(const std::vector<Finding>& findings, bool json) {
  if (json) {
    auto list = nlohmann::ordered_json::array();
    for (const Finding& finding : findings)
      list.push_back({{"what", finding.what}, {"same", finding.same}, {"detail", finding.detail}});
    std::cout << list.dump() << std::endl;
    return;
  }
  for (const Finding& finding : findings)
    std::cout << (finding.same ? "same       " : "DIFFERENT  ") << finding.what << ": "
              << finding.detail << "\n";
  std::cout.flush();
}

void run_metrics_verify(VerifyArguments& a, CommandContext& context) {
  ProcessGroup& group = context.processes();
  a.options.device = context.device_name;
  a.options.fetch = context.fetch;
  if (a.json) context.quiet = true;
  const auto findings = verify_manifest(a.options, group, *context.progress());
  if (!group.is_main()) return;
  context.close_progress();
  print(findings, a.json);
  const auto different = std::count_if(findings.begin(), findings.end(),
                                       [](const Finding& finding) { return !finding.same; });
  if (different > 0)
    throw Error(std::to_string(different) + " of " + std::to_string(findings.size()) +
                " things differ from '" + a.options.manifest.string() + "'");
}

}  // namespace

void add_metrics_verify(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "verify", "Compare files and scores with the manifest that was written with the scores");
  auto a = std::make_shared<VerifyArguments>();
  VerifyOptions& o = a->options;
  add_text_option(command, "MANIFEST", o.manifest, "FILE", "Written by calc or gen --manifest")
      ->required();
  add_switch(command, "--inputs-only", o.inputs_only,
             "Compare pictures and files, compute no scores");
  add_float_option(command, "--tolerance", o.tolerance, at_least(0.0),
                   "Difference of scores, relative above 1, that is still the same");
  const std::pair<const char*, std::optional<std::string>*> replacements[] = {
      {"--images", &o.images},
      {"--net", &o.net},
      {"--gnet", &o.gnet},
      {"--vae", &o.vae},
      {"--ref", &o.ref},
      {"--ref-features", &o.ref_features},
      {"--inception", &o.inception},
      {"--dinov2", &o.dinov2}};
  for (const auto& [name, target] : replacements)
    add_text_option(command, name, *target, "PATH|URL", "Where that is now", "as recorded");
  add_json_option(command, a->json);
  add_text_option(command, "--device", context.device_name, "DEVICE",
                  "Where to compute: auto, cpu, cuda or cuda:N", context.device_name);
  add_fetch_options(command, context);
  add_process_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_metrics_verify(*a, context); });
}

}  // namespace edm2::cli
