// edm2 reconstruct: options of the original's reconstruct_phema.py, and more.
#include "edm2/ema/reconstruct.h"

#include "cli/command.h"
#include "cli/commands.h"

namespace edm2::cli {
namespace {

SnapshotFormat parse_format(const std::string& text) {
  return parse_word(text, {"pkl", "safetensors"}) == "pkl" ? SnapshotFormat::pickle
                                                           : SnapshotFormat::safetensors;
}

}  // namespace

void add_reconstruct_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "reconstruct", "Reconstruct networks of any EMA length from the snapshots of a run");
  auto o = std::make_shared<ReconstructOptions>();
  add_text_option(*command, "--indir", o->indir, "DIR|URL",
                  "Folder of the snapshots, or the address of one that a web server lists")
      ->required();
  add_text_option(*command, "--inprefix", o->filter.prefix, "PREFIX",
                  "Use only snapshots PREFIX-KIMG-STD", "any");
  add_parsed_option(*command, "--instd", o->filter.stds, parse_std_list, "LIST",
                    "Use only snapshots of these EMA lengths", "any");
  add_text_option(*command, "--outdir", o->outdir, "DIR", "Where to save the networks")->required();
  add_text_option(*command, "--outprefix", o->outprefix, "PREFIX", "First part of their names",
                  o->outprefix);
  add_parsed_option(*command, "--outstd", o->outstds, parse_std_list, "LIST",
                    "EMA lengths to reconstruct, such as 0.05 or 0.010,0.015,...,0.250")
      ->required();
  add_int_option(*command, "--outkimg", o->outkimg, at_least(int64_t{1}),
                 "Training time to reconstruct at, in thousands of images", "latest");
  add_switch(*command, "--skip", o->skip, "Leave out networks whose files exist");
  add_int_option(*command, "--batch", o->max_batch_size, at_least(int64_t{1}),
                 "Networks reconstructed in one pass over the snapshots", "all");
  add_parsed_option(*command, "--format", o->format, parse_format, "pkl|safetensors",
                    "Format of the networks", "that of the snapshots");
  add_switch(*command, "--report", o->report,
             "Also save the coefficients (CSV) and a plot of the profiles (SVG), and tell the "
             "expected errors");
  add_switch(*command, "-n,--dry-run", o->dry_run, "Check everything, but save no networks");
  add_text_option(*command, "--keep", o->keep, "DIR",
                  "With an address: folder in which the snapshots stay; otherwise each is deleted "
                  "when it is summed");
  add_switch(*command, "--offline", context.fetch.offline, "Download nothing");
  add_process_options(*command, context);
  add_progress_options(*command, context);
  command->callback([o, &context] {
    context.device_name = "cpu";
    ProcessGroup& group = context.processes();
    o->fetch = context.fetch;
    reconstruct_phema(*o, *context.progress(), group);
  });
}

}  // namespace edm2::cli
