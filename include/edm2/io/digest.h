/// Checksums: MD5 for names in the download cache, SHA-256 for comparing files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace edm2 {

/// 32 lower-case hexadecimal digits. Not for anything that an attacker must not forge.
std::string md5_hex(std::string_view text);

/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);
/// Of a whole file, which may be larger than memory. Throws Error if it cannot be read, and
/// Interrupted.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace edm2
