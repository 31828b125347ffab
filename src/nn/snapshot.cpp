#include "edm2/nn/snapshot.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "edm2/core/error.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/state_report.h"
#include "io/foreign_content.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

using Bytes = std::span<const std::byte>;

// What is wrong with an encoder whatever file it comes from.
void check(const EncoderOptions& encoder) {
  if (encoder.kind != EncoderOptions::Kind::stability_vae) return;
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

FileContents read_torch(Bytes contents, const std::string& name) {
  const PickleValue root = read_torch_bytes(contents, name);
  if (auto snapshot = snapshot_from_torch(contents, root))
    return {SnapshotFormat::torch, std::move(*snapshot)};
  const PickleValue* ema = root.is_dict() ? root.find("ema") : nullptr;
  if (holds_network_object(root) || (ema && ema->is_object()))  // of the original, by torch.save
    return {SnapshotFormat::torch, snapshot_from_pickle(root)};
  return {SnapshotFormat::torch, BareWeights{{}, {}, root}};
}

/// A state dict that was pickled instead of saved by torch.save.
bool is_bare_pickle(const PickleValue& root) {
  return root.is_dict() && !holds_network_object(root) && !root.find("optimizer") &&
         holds_network_tensors(named_tensors(root));
}

FileContents read_container(const SharedBytes& shared, const std::string& name, bool views) {
  const Bytes contents = shared.span();
  if (is_safetensors(contents)) {
    SafetensorsFile file =
        views ? view_safetensors(shared, name) : read_safetensors(contents, name);
    if (!file.metadata.contains("network"))
      return {SnapshotFormat::safetensors,
              BareWeights{std::move(file.tensors), std::move(file.metadata), {}}};
    return {SnapshotFormat::safetensors, snapshot_from_safetensors(std::move(file))};
  }
  if (is_torch_file(contents)) return read_torch(contents, name);
  if (is_pickle(contents)) {
    const PickleValue root = views ? view_pickle(shared, name) : read_pickle(contents, name);
    if (is_bare_pickle(root)) return {SnapshotFormat::pickle, BareWeights{{}, {}, root}};
    return {SnapshotFormat::pickle, snapshot_from_pickle(root)};
  }
  const std::string found = contents.empty() ? "empty" : describe_content(contents);
  throw Error("this is not a network snapshot (" +
              (found.empty() ? "no pickle, safetensors or torch file" : "it is " + found) + ")");
}

/// Latents have four channels, and so have pictures with alpha.
void note_four_channels(Snapshot& snapshot) {
  constexpr int64_t channels = 4;
  if (snapshot.network.img_channels != channels ||
      snapshot.encoder.kind != EncoderOptions::Kind::rgb)
    return;
  snapshot.notes.emplace_back(
      "the network has 4 channels and its file names no VAE, so it is taken for one of RGBA "
      "pictures; if it is one of latents, its pictures are not what it was trained on");
}

FileContents read_checked(const SharedBytes& contents, const std::string& name, bool views) {
  FileContents result = read_container(contents, name, views);
  if (auto* snapshot = std::get_if<Snapshot>(&result.contents)) {
    check_snapshot(*snapshot);
    note_four_channels(*snapshot);
  }
  return result;
}

}  // namespace

EncoderOptions stability_vae_options() {
  const std::vector<float> raw_mean = {5.81f, 3.25f, 0.12f, -2.15f};
  const std::vector<float> raw_std = {4.17f, 4.62f, 3.71f, 3.28f};
  EncoderOptions options;
  options.kind = EncoderOptions::Kind::stability_vae;
  for (size_t i = 0; i < raw_mean.size(); ++i) {
    options.scale.push_back(0.5f / raw_std[i]);
    options.bias.push_back(0.0f - raw_mean[i] * options.scale[i]);
  }
  return options;
}

void check_snapshot(const Snapshot& snapshot) {
  check(snapshot.encoder);
  if (!snapshot.loss) return;
  const LossOptions& loss = *snapshot.loss;
  if (!std::isfinite(loss.P_mean) || !std::isfinite(loss.P_std) || !std::isfinite(loss.sigma_data))
    throw Error("the parameters of the training loss must be finite numbers");
}

void rethrow_naming(const std::filesystem::path& path) {
  const std::string name = path.string();
  const auto named = [&](const Error& error) {
    const std::string message = error.what();
    return message.find(name) != std::string::npos ? message : name + ": " + message;
  };
  try {
    throw;
  } catch (const UsageError&) {
    throw;
  } catch (const StateMismatch& error) {
    throw StateMismatch(named(error), error.report());
  } catch (const Error& error) {
    throw Error(named(error));
  }
}

FileContents read_network(Bytes contents, const std::string& name) {
  return read_checked(SharedBytes::borrowed(contents), name, /*views=*/false);
}

FileContents view_network(const SharedBytes& contents, const std::string& name) {
  return read_checked(contents, name, /*views=*/true);
}

void check_format(const Snapshot& snapshot, SnapshotFormat format) {
  if (snapshot.folded && format == SnapshotFormat::pickle)
    throw Error(
        "the weights are folded, and the tools that read .pkl would normalise them again; write "
        ".safetensors or .pt");
}

void save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot,
                   SnapshotFormat format) {
  check_snapshot(snapshot);
  with_file_name(path, [&] { check_format(snapshot, format); });
  Snapshot checked = snapshot;
  checked.tensors = check_tensors(snapshot.network, snapshot.tensors);
  switch (format) {
    case SnapshotFormat::safetensors:
      save_safetensors(path, checked.tensors, safetensors_metadata(checked));
      return;
    case SnapshotFormat::torch:
      save_torch_snapshot(path, checked);
      return;
    case SnapshotFormat::pickle:
      write_pickle_file(path, snapshot_to_pickle(checked));
      return;
  }
}

const char* format_name(SnapshotFormat format) {
  switch (format) {
    case SnapshotFormat::safetensors:
      return "safetensors";
    case SnapshotFormat::torch:
      return "torch";
    case SnapshotFormat::pickle:
      break;
  }
  return "pickle";
}

SnapshotFormat snapshot_format_for(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".pkl") return SnapshotFormat::pickle;
  if (extension == ".safetensors") return SnapshotFormat::safetensors;
  if (extension == ".pt" || extension == ".pth") return SnapshotFormat::torch;
  throw UsageError("the name of a network file must end in .pkl, .safetensors or .pt, unlike '" +
                   path.string() + "'");
}

}  // namespace edm2
