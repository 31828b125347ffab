#include "data/find_vae.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/io/download_cache.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// "organisation/model", of characters that are harmless in addresses and in names of folders.
bool is_hub_name(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos || name.size() > 200) return false;
  for (const std::string& part : {name.substr(0, slash), name.substr(slash + 1)}) {
    const auto fits = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '-' || c == '_' || c == '.';
    };
    if (part.empty() || part.front() == '.' || !std::all_of(part.begin(), part.end(), fits))
      return false;
  }
  return true;
}

/// Folders in which a hub cache may have its models--... folders.
std::vector<fs::path> hub_caches(const FetchOptions& options) {
  std::vector<fs::path> folders;
  for (const fs::path& root : cache_roots(options)) {
    folders.push_back(root / "diffusers");
    folders.push_back(root / "diffusers" / "hub");
  }
  const std::string home = variable("HOME");
  for (const auto& [value, below] : std::vector<std::pair<std::string, fs::path>>{
           {variable("HF_HUB_CACHE"), ""},
           {variable("HUGGINGFACE_HUB_CACHE"), ""},
           {variable("HF_HOME"), "hub"},
           {variable("XDG_CACHE_HOME"), "huggingface/hub"},
           {home, ".cache/huggingface/hub"}})
    if (!value.empty()) {
      folders.push_back(below.empty() ? fs::path(value) : value / below);
      break;
    }
  return folders;
}

/// The files in a folder of a model, a pipeline or a cache, if a configuration is among them.
std::optional<AutoencoderFiles> complete_files(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return std::nullopt;
  try {
    AutoencoderFiles files = find_autoencoder_files(folder);
    if (files.config) return files;
  } catch (const Error&) {
  }
  return std::nullopt;
}

/// "organisation/model" as caches of the hub name its folder.
std::string cache_folder_name(std::string name) {
  return "models--" + name.replace(name.find('/'), 1, "--");
}

}  // namespace

AutoencoderFiles find_vae(const std::string& name, const FetchOptions& options,
                          Progress& progress) {
  if (auto files = complete_files(name)) return *files;
  const std::string endpoint = variable("HF_ENDPOINT");
  const std::string page = (endpoint.empty() ? "https://huggingface.co" : endpoint) + "/" + name;
  const std::string missing = "the VAE '" + name.substr(0, 200) +
                              "', which turns latents into pictures and back, is not on this "
                              "machine";
  if (!is_hub_name(name)) throw Error(missing + "; name its folder or file with --vae=PATH");
  for (const fs::path& cache : hub_caches(options))
    if (auto files = complete_files(cache / cache_folder_name(name))) return *files;
  try {
    const auto fetch = [&](const char* file) {
      return resolve_source(page + "/resolve/main/" + file, options, progress);
    };
    const fs::path config = fetch("config.json");
    return {fetch("diffusion_pytorch_model.safetensors"), config};
  } catch (const Error& error) {
    throw Error(missing + "; put config.json and diffusion_pytorch_model.safetensors of " + page +
                " into a folder and name it with --vae=FOLDER (" + error.what() + ")");
  }
}

}  // namespace edm2
