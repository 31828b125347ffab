#include "edm2/generate/network_source.h"

#include <cstring>

#include "edm2/core/error.h"
#include "edm2/ema/run_source.h"
#include "edm2/ema/snapshots.h"
#include "edm2/generate/presets.h"
#include "ema/report.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

Snapshot reconstruct(const RunSource& source, Progress& progress) {
  Snapshots snapshots(source.folder);
  for (const std::string& note : snapshots.notes()) progress.message(note);
  std::optional<int64_t> nimg;
  if (source.kimg) nimg = nimg_from_kimg(*source.kimg);
  constexpr double worth_a_warning = 0.1;
  if (const double error = snapshots.solve(source.std, nimg).error; error > worth_a_warning)
    progress.message("Warning: the snapshots in " + source.folder.string() +
                     " are far from that EMA length: the expected error is " + percent(error));
  return snapshots.reconstruct(source.std, nimg);
}

StoredSnapshot with_notes_told(StoredSnapshot snapshot, Progress& progress) {
  for (const std::string& note : snapshot.description().notes) progress.message("Note: " + note);
  return snapshot;
}

void refuse_folder(const NamedSource& source) {
  std::error_code ignored;
  if (source.kind() != SourceKind::path || !fs::is_directory(source.file(), ignored)) return;
  const std::string weights = weights_in_folder(source.file());
  if (!weights.empty())
    throw Error("cannot load " + source.text() + ": it is a folder; name the file in it, such as " +
                weights);
  throw Error("cannot load " + source.text() + ": it is a folder; " + source.text() +
              "@0.135 means a network of that EMA length, reconstructed from its snapshots");
}

}  // namespace

std::string weights_in_folder(const fs::path& folder) {
  // As Accelerate, Transformers and others name them.
  for (const char* name : {"model.safetensors", "ema_model.safetensors", "pytorch_model.bin",
                           "diffusion_pytorch_model.safetensors", "model.pt", "model_ema.pt"}) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / name, ignored)) return (folder / name).string();
  }
  return "";
}

NamedSource find_network(const NamedSource& source, const FetchOptions& options,
                         Progress& progress) {
  if (source.is_resolved()) return source;
  if (source.kind() == SourceKind::bundled)
    return source.resolved_to(find_bundled_model(source.text().substr(std::strlen("bundled:"))));
  if (const auto run = parse_run_source(source))
    return source.resolved_to(run->folder, SourceKind::run);
  return source.resolved(options, progress);
}

fs::path find_network_file(const NamedSource& source, const FetchOptions& options,
                           Progress& progress) {
  const NamedSource network = find_network(source, options, progress);
  if (network.kind() == SourceKind::run)
    throw Error(source.text() + " is not in a file; write it into one with edm2 reconstruct");
  return network.file();
}

StoredSnapshot open_network_source(const NamedSource& source, const FetchOptions& options,
                                   Progress& progress) {
  const NamedSource network = find_network(source, options, progress);
  if (network.kind() == SourceKind::run)
    return with_notes_told(reconstruct(*parse_run_source(network), progress), progress);
  refuse_folder(network);
  try {
    return with_notes_told(StoredSnapshot(network.file()), progress);
  } catch (const Error& error) {
    if (!network.is_web()) throw;
    throw Error(network.shown() + " is not a usable network: " + error.what() +
                "; to download it again, remove it with: edm2 cache clear " +
                network.file().filename().string());
  }
}

Snapshot load_network_source(const NamedSource& source, const FetchOptions& options,
                             Progress& progress) {
  return open_network_source(source, options, progress).load();
}

}  // namespace edm2
