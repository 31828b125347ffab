// The parts of describe_file(): each adds what it knows to the description.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "edm2/analysis/file_info.h"
#include "edm2/core/tensor.h"
#include "edm2/io/pickle.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

using InfoJson = nlohmann::ordered_json;
using Bytes = std::span<const std::byte>;

/// "float16"
std::string dtype_name(at::ScalarType dtype);

/// Counts, types and, if wanted, values and a list of all.
void add_tensors(InfoJson& info, const StateDict& tensors, const FileInfoOptions& options);

/// What a file name such as network-snapshot-0001048-0.100.pkl tells.
void add_name(InfoJson& info, const std::filesystem::path& path);

void add_safetensors(InfoJson& info, Bytes contents, const std::filesystem::path& path,
                     const FileInfoOptions& options);
void add_torch_file(InfoJson& info, Bytes contents, const std::filesystem::path& path,
                    const FileInfoOptions& options);
void add_snapshot(InfoJson& info, const Snapshot& snapshot, const FileInfoOptions& options);

/// Any pickle but a snapshot.
void add_pickle(InfoJson& info, const PickleValue& root);

/// A JSON object, or null if the text is none.
InfoJson json_or_null(const std::string& text);
bool has_magic(Bytes contents, std::string_view magic);

bool is_run_folder(const std::filesystem::path& path);
void add_run(InfoJson& info, const std::filesystem::path& path);
void add_folder(InfoJson& info, const std::filesystem::path& path);
void add_dataset(InfoJson& info, const std::filesystem::path& path);
void add_arrays(InfoJson& info, const std::filesystem::path& path);

}  // namespace edm2
