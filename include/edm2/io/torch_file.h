/// Files of torch.save: training states, VAE and detector weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
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
/// integers, bool). Other values are an Error. Every tensor gets a storage of its own. `extra`:
/// more entries of the zip, which torch.load passes over.
void save_torch_file(const std::filesystem::path& path, const PickleValue& root,
                     const std::map<std::string, std::string>& extra = {});

/// The contents begin like a file of torch.save, zip (any zip) or legacy.
bool is_torch_file(std::span<const std::byte> contents);

/// The extra entry of that name in the contents of a torch file, if it is there. Throws Error: not
/// readable, compressed, larger than 16 MiB.
std::optional<std::string> read_torch_extra(std::span<const std::byte> contents,
                                            const std::string& name);

}  // namespace edm2
