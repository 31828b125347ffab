// Which members of a tar shard are pictures of samples, and which are no data at all.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/picture_source.h"
#include "edm2/io/tar.h"

namespace edm2 {

/// "a/0001" of "a/0001.seg.png".
std::string sample_key(const std::string& name);

/// What was left out of some shards, for the user.
struct ShardNotes {
  std::vector<std::string> system_files, meta, unusual, without_key, unread_pictures, behind_end;
  std::vector<std::string> labels_of_nothing;  ///< .cls files beside which no picture stands
  std::vector<std::string> sentences() const;
};

struct ShardMembers {
  std::vector<size_t> pictures;      ///< places in the directory, one of each sample, in order
  std::vector<size_t> others;        ///< further files of samples: labels, captions
  std::vector<FileProblem> refused;  ///< hostile names
};

/// Sorts the members of a shard. `where`: the shard, for messages. Throws Error if a sample has
/// several pictures and options.image_key chooses none.
ShardMembers sort_members(const TarDirectory& directory, const SourceOptions& options,
                          const std::string& where, ShardNotes& notes);

}  // namespace edm2
