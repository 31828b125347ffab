#include "edm2/generate/network_source.h"

#include "edm2/core/error.h"
#include "edm2/ema/run_source.h"
#include "edm2/ema/snapshots.h"
#include "edm2/generate/presets.h"
#include "edm2/io/download_cache.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

const std::string bundled_prefix = "bundled:";

Snapshot reconstruct(const RunSource& source, Progress& progress) {
  Snapshots snapshots(source.folder);
  for (const std::string& note : snapshots.notes()) progress.message(note);
  std::optional<int64_t> nimg;
  if (source.kimg) nimg = nimg_from_kimg(*source.kimg);
  return snapshots.reconstruct(source.std, nimg);
}

StoredSnapshot with_notes_told(StoredSnapshot snapshot, Progress& progress) {
  for (const std::string& note : snapshot.description().notes) progress.message("Note: " + note);
  return snapshot;
}

void refuse_folder(const std::string& source) {
  std::error_code ignored;
  if (fs::is_directory(source, ignored))
    throw Error("cannot load " + source + ": it is a folder; " + source +
                "@0.135 means a network of that EMA length, reconstructed from its snapshots");
}

}  // namespace

fs::path find_network_file(const std::string& source, const FetchOptions& options,
                           Progress& progress) {
  if (source.starts_with(bundled_prefix))
    return find_bundled_model(source.substr(bundled_prefix.size()));
  if (parse_run_source(source))
    throw Error(source + " is not in a file; write it into one with edm2 reconstruct");
  return resolve_source(source, options, progress);
}

StoredSnapshot open_network_source(const std::string& source, const FetchOptions& options,
                                   Progress& progress) {
  if (const auto run = parse_run_source(source))
    return with_notes_told(reconstruct(*run, progress), progress);
  refuse_folder(source);
  const fs::path file = find_network_file(source, options, progress);
  try {
    return with_notes_told(StoredSnapshot(file), progress);
  } catch (const Error& error) {
    if (!is_web_address(source)) throw;
    throw Error(without_password(source) + " is not a usable network: " + error.what() +
                "; to download it again, remove it with: edm2 cache clear " +
                file.filename().string());
  }
}

Snapshot load_network_source(const std::string& source, const FetchOptions& options,
                             Progress& progress) {
  return open_network_source(source, options, progress).load();
}

}  // namespace edm2
