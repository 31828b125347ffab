#include "edm2/nn/snapshot.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/torch_file.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

using Bytes = std::span<const std::byte>;

bool begins_with(Bytes contents, std::string_view magic) {
  return contents.size() >= magic.size() &&
         std::memcmp(contents.data(), magic.data(), magic.size()) == 0;
}

// What is wrong with an encoder whatever file it comes from.
void check(const EncoderOptions& encoder) {
  if (encoder.kind == EncoderOptions::Kind::rgb) return;
  const auto is_finite = [](float value) { return std::isfinite(value); };
  if (encoder.scale.empty() || encoder.scale.size() != encoder.bias.size() ||
      !std::all_of(encoder.scale.begin(), encoder.scale.end(), is_finite) ||
      !std::all_of(encoder.bias.begin(), encoder.bias.end(), is_finite) ||
      std::find(encoder.scale.begin(), encoder.scale.end(), 0.f) != encoder.scale.end())
    throw Error("the scale and bias of the VAE encoder must be finite numbers, one per channel");
  if (encoder.batch_size < 1)
    throw Error("the batch size of the VAE encoder must be positive, not " +
                std::to_string(encoder.batch_size));
}

}  // namespace

void check_snapshot(const Snapshot& snapshot) {
  check(snapshot.encoder);
  if (!snapshot.loss) return;
  const LossOptions& loss = *snapshot.loss;
  if (!std::isfinite(loss.P_mean) || !std::isfinite(loss.P_std) || !std::isfinite(loss.sigma_data))
    throw Error("the parameters of the training loss must be finite numbers");
}

Snapshot snapshot_from_contents(Bytes contents, const std::string& name, bool views) {
  if (is_safetensors(contents))
    return snapshot_from_safetensors(views ? view_safetensors(contents, name)
                                           : read_safetensors(contents, name));
  if (begins_with(contents, "PK\x03\x04"))
    return snapshot_from_pickle(read_torch_bytes(contents, name));
  if (begins_with(contents, "\x80"))
    return snapshot_from_pickle(views ? view_pickle(contents, name) : read_pickle(contents, name));
  throw Error("this is not a network snapshot (neither a pickle nor safetensors)");
}

Snapshot load_snapshot(const std::filesystem::path& path) {
  return with_file_name(path, [&] {
    const MappedFile file(path);
    Snapshot snapshot = snapshot_from_contents(file.bytes(), path.string(), /*views=*/false);
    check_snapshot(snapshot);
    return snapshot;
  });
}

void save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot,
                   SnapshotFormat format) {
  check_snapshot(snapshot);
  Snapshot checked = snapshot;
  checked.tensors = check_tensors(snapshot.network, snapshot.tensors);
  if (format == SnapshotFormat::safetensors)
    save_safetensors(path, checked.tensors, safetensors_metadata(checked));
  else
    write_pickle_file(path, snapshot_to_pickle(checked));
}

SnapshotFormat snapshot_format_for(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".safetensors" ? SnapshotFormat::safetensors : SnapshotFormat::pickle;
}

}  // namespace edm2
