/// Files of torch.save: training states, VAE and detector weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "edm2/io/pickle.h"

namespace edm2 {

/// Reads a torch.save file, zip or legacy, on the CPU. Nothing is executed (see read_pickle). Of a
/// TorchScript archive the modules come as objects with their attributes; its code is not looked
/// at.
/// Throws Error naming the file: not a torch file, truncated, damaged, forbidden global, ...
PickleValue load_torch_file(const std::filesystem::path& path);
/// The same for the contents of a file; `name` stands in messages.
PickleValue read_torch_bytes(std::span<const std::byte> contents, const std::string& name);

/// Writes a zip file that `torch.load(weights_only=True)` accepts, atomically. `root`: dicts,
/// lists, tuples, strings, numbers, None and tensors (any device; float16/32/64, bfloat16,
/// integers, bool). Other values are an Error. Every tensor gets a storage of its own.
void save_torch_file(const std::filesystem::path& path, const PickleValue& root);

}  // namespace edm2
