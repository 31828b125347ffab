// stats.jsonl of a run that goes on.
#pragma once

#include <cstdint>
#include <filesystem>

namespace edm2 {

/// Takes the lines out of stats.jsonl that a run which goes on at `cur_nimg` images (0: begins)
/// writes again, and what a kill has left half written. Returns how many lines. Throws Error if the
/// file cannot be read or written.
int64_t rewind_stats(const std::filesystem::path& file, int64_t cur_nimg);

}  // namespace edm2
