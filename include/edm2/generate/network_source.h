/// Snapshots by what the user calls them.
#pragma once

#include <filesystem>
#include <string>

#include "edm2/io/source.h"
#include "edm2/nn/stored_snapshot.h"

namespace edm2 {

/// The one way from the text of --net, --gnet and the like to a snapshot:
///   - a path, a file:// or an http(s):// address (see resolve_source());
///   - bundled:NAME, a model that comes with the program (see find_bundled_model());
///   - FOLDER@STD or FOLDER@STD,kimg=KIMG: the network of that EMA length, at the latest or that
///     time, reconstructed from the snapshots in the folder (see Snapshots).
///
/// Throws Error naming the source (not found, not downloaded, not a snapshot) and Interrupted.
Snapshot load_network_source(const NamedSource& source, const FetchOptions& options,
                             Progress& progress);

/// The same with weights that are not read yet, but for FOLDER@STD.
StoredSnapshot open_network_source(const NamedSource& source, const FetchOptions& options,
                                   Progress& progress);

/// The path of a file of weights in a folder that training programs of others write, by its usual
/// name (model.safetensors and the like); "" if there is none.
std::string weights_in_folder(const std::filesystem::path& folder);

/// Resolved to the file, downloaded if need be; FOLDER@STD to the folder (kind `run`). Itself if it
/// is resolved already: the other functions here take what this one returns, too.
NamedSource find_network(const NamedSource& source, const FetchOptions& options,
                         Progress& progress);

/// The file that load_network_source() reads, downloaded if need be. Not for FOLDER@STD.
std::filesystem::path find_network_file(const NamedSource& source, const FetchOptions& options,
                                        Progress& progress);

}  // namespace edm2
