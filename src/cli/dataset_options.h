// What the commands of `edm2 dataset` share.
#pragma once

#include "cli/command.h"
#include "edm2/data/source_options.h"

namespace edm2::cli {

/// --source, --labels, --split and --coarse-labels.
void add_source_options(CLI::App& command, SourceOptions& source);

void add_dataset_check(CLI::App& group, CommandContext& context);
void add_dataset_show(CLI::App& group, CommandContext& context);

}  // namespace edm2::cli
