// Folders: runs, datasets (also zip archives), VAEs.
#include <algorithm>

#include "analysis/info_parts.h"
#include "edm2/core/error.h"
#include "edm2/data/dataset.h"
#include "edm2/data/encoder.h"
#include "edm2/generate/network_source.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

uint64_t folder_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    const uintmax_t size = entry->is_regular_file(ignored) ? entry->file_size(ignored) : 0;
    if (!ignored) bytes += size;
  }
  return bytes;
}

// Images per class, or the kind of other labels.
void add_labels(InfoJson& info, const ImageDataset& dataset) {
  if (dataset.label_kind() != LabelKind::classes) {
    info["labels"] = dataset.label_kind() == LabelKind::none ? "none" : "vectors";
    return;
  }
  const std::map<int64_t, int64_t> counts = dataset.class_counts();
  info["labels"] = "classes";
  if (counts.empty()) return;
  const auto [fewest, most] =
      std::minmax_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; });
  info["classes_with_images"] = counts.size();
  info["images_per_class"] = {fewest->second, most->second};
  if (!dataset.class_names().empty()) info["class_names"] = dataset.class_names();
}

bool has_model_file(const fs::path& folder) {
  for (const char* name : {"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"})
    if (fs::exists(folder / name)) return true;
  return false;
}

void add_vae(InfoJson& info, const fs::path& folder) {
  info["kind"] = "VAE folder";
  const InfoJson config = json_or_null(read_text_file(folder / "config.json"));
  for (const char* key : {"_class_name", "in_channels", "latent_channels", "block_out_channels",
                          "layers_per_block", "sample_size"})
    if (config.is_object() && config.contains(key)) info["config"][key] = config.at(key);
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("diffusion_pytorch_model"))
      info["weights"].push_back(entry.path().filename().string());
}

}  // namespace

void add_dataset(InfoJson& info, const fs::path& path) {
  const ImageDataset dataset({.path = path, .look_ahead = false});
  info["kind"] = "dataset";
  const std::vector<int64_t>& shape = dataset.image_shape();
  info["images"] = dataset.size();
  info["shape"] = shape;
  info["type"] = dtype_name(dataset.item(0).image.scalar_type());
  try {
    const auto encoder = choose_encoder(EncoderChoice::automatic, shape[0], dataset.image_type());
    info["encoder"] = make_encoder(encoder)->name();
  } catch (const Error&) {  // the contents do not tell
  }
  info["label_dim"] = dataset.label_dim();
  add_labels(info, dataset);
}

void add_folder(InfoJson& info, const fs::path& path) {
  info["container"] = "folder";
  info["bytes"] = folder_bytes(path);
  if (is_run_folder(path))
    add_run(info, path);
  else if (fs::exists(path / "config.json") && has_model_file(path))
    add_vae(info, path);
  else if (const std::string weights = weights_in_folder(path); !weights.empty())
    throw Error("'" + path.string() +
                "' is a folder of a training program; name the file in it: " + weights);
  else
    add_dataset(info, path);
}

}  // namespace edm2
