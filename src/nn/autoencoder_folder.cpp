// Where in a folder an autoencoder lies.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "nn/autoencoder_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::string_view model_stem = "diffusion_pytorch_model";

/// The kinds of files that a model may lie in, best first.
enum class FileKind { safetensors, index, torch };

struct ModelFile {
  FileKind kind;
  std::string variant;  // "fp16", "" for the plain one
};

bool take_ending(std::string_view& text, std::string_view ending) {
  if (!text.ends_with(ending)) return false;
  text.remove_suffix(ending.size());
  return true;
}

/// What a name such as diffusion_pytorch_model.fp16.safetensors says; none for other files, and for
/// the single files that an index names.
std::optional<ModelFile> parse_model_name(std::string_view name) {
  if (!name.starts_with(model_stem)) return std::nullopt;
  name.remove_prefix(model_stem.size());
  const auto variant_of = [](std::string_view rest) -> std::optional<std::string> {
    if (rest.empty()) return "";
    if (rest.front() != '.' || rest.size() < 2 || rest.find('.', 1) != std::string_view::npos)
      return std::nullopt;
    return std::string(rest.substr(1));
  };
  FileKind kind = FileKind::safetensors;
  if (take_ending(name, ".json")) {
    kind = FileKind::index;
    // ".safetensors.index" or ".safetensors.index.fp16"
    const std::string_view start = name.starts_with(".bin") ? ".bin.index" : ".safetensors.index";
    if (!name.starts_with(start)) return std::nullopt;
    name.remove_prefix(start.size());
  } else if (take_ending(name, ".bin")) {
    kind = FileKind::torch;
  } else if (!take_ending(name, ".safetensors")) {
    return std::nullopt;
  }
  const auto variant = variant_of(name);
  return variant ? std::optional(ModelFile{kind, *variant}) : std::nullopt;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error))
    entries.push_back(entry->path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files = entries_of(folder);
  std::error_code ignored;
  std::erase_if(files, [&](const fs::path& path) { return !fs::is_regular_file(path, ignored); });
  return files;
}

/// The weights of a model as diffusers names them: the plain ones before a variant.
std::optional<fs::path> find_model_file(const fs::path& folder) {
  std::map<std::string, std::map<FileKind, fs::path>> by_variant;
  for (const fs::path& file : files_in(folder))
    if (const auto model = parse_model_name(file.filename().string()))
      by_variant[model->variant].emplace(model->kind, file);
  if (by_variant.empty()) return std::nullopt;
  if (by_variant.size() > 1 && !by_variant.contains(""))
    throw Error("the folder '" + folder.string() + "' holds several variants of its VAE ('" +
                by_variant.begin()->first + "', '" + std::next(by_variant.begin())->first +
                "'); name the file of one of them");
  return by_variant.begin()->second.begin()->second;
}

/// A file of weights by any name, if all that there are differ only in their endings.
std::optional<fs::path> find_only_weights(const fs::path& folder) {
  constexpr std::string_view endings[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin"};
  std::vector<std::pair<size_t, fs::path>> found;
  for (const fs::path& file : files_in(folder)) {
    const auto ending =
        std::find(std::begin(endings), std::end(endings), file.extension().string());
    if (ending == std::end(endings) || file.filename().string().starts_with('.')) continue;
    found.emplace_back(ending - std::begin(endings), file);
    if (file.stem() != found.front().second.stem())
      throw Error("the folder '" + folder.string() + "' holds several files of weights ('" +
                  found.front().second.filename().string() + "', '" + file.filename().string() +
                  "'); name the one that is the VAE");
  }
  if (found.empty()) return std::nullopt;
  return std::min_element(found.begin(), found.end())->second;
}

/// The revisions of a model in a cache of the hub's tools; first the one that "main" stands for.
std::vector<fs::path> revisions_in(const fs::path& model) {
  std::vector<fs::path> revisions = entries_of(model / "snapshots");
  std::string main;
  try {
    main = read_text_file(model / "refs" / "main", 1000);
  } catch (const Error&) {  // then no revision is preferred
  }
  std::stable_partition(revisions.begin(), revisions.end(), [&](const fs::path& revision) {
    return revision.filename() == main.substr(0, main.find_last_not_of("\r\n") + 1);
  });
  return revisions;
}

AutoencoderFiles find_in_folder(const fs::path& folder, bool may_be_cache);

AutoencoderFiles find_in_revisions(const std::vector<fs::path>& revisions) {
  std::optional<Error> first_problem;
  for (const fs::path& revision : revisions) try {
      return find_in_folder(revision, /*may_be_cache=*/false);
    } catch (const Error& problem) {
      if (!first_problem) first_problem = problem;
    }
  throw *first_problem;
}

bool says_autoencoder(const fs::path& config) {
  std::error_code error;
  if (!fs::is_regular_file(config, error)) return false;
  const json parsed =
      json::parse(read_text_file(config, longest_vae_config), nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() && parsed.value("_class_name", json()) == "AutoencoderKL";
}

AutoencoderFiles with_config_beside(const fs::path& weights) {
  const fs::path beside = weights.parent_path() / "config.json";
  return {weights, says_autoencoder(beside) ? std::optional(beside) : std::nullopt};
}

AutoencoderFiles find_in_folder(const fs::path& folder, bool may_be_cache) {
  std::error_code error;
  if (const auto weights = find_model_file(folder)) {
    const fs::path config = folder / "config.json";
    if (!fs::exists(config, error))
      throw Error("the folder '" + folder.string() + "' has no config.json that describes its VAE");
    return {*weights, config};
  }
  // The folder of a pipeline, or a model in a cache.
  if (fs::is_directory(folder / "vae", error))
    return find_in_folder(folder / "vae", /*may_be_cache=*/false);
  if (may_be_cache)
    if (const auto revisions = revisions_in(folder); !revisions.empty())
      return find_in_revisions(revisions);
  if (const auto weights = find_only_weights(folder)) return with_config_beside(*weights);
  throw Error("the folder '" + folder.string() + "' holds no VAE: it has neither " +
              std::string(model_stem) + ".safetensors nor " + std::string(model_stem) + ".bin");
}

}  // namespace

AutoencoderFiles find_autoencoder_files(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return find_in_folder(path, /*may_be_cache=*/true);
  if (!fs::exists(path, error)) throw Error("there is no VAE at '" + path.string() + "'");
  return with_config_beside(path);
}

}  // namespace edm2
