#include "train/manifest.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "edm2/core/platform.h"
#include "edm2/io/digest.h"

namespace edm2 {
namespace {

constexpr std::string_view size_mark = "# size ";
constexpr size_t digest_length = 64;

bool is_digest(std::string_view text) {
  return text.size() == digest_length && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<uint64_t> parse_size(std::string_view line) {
  uint64_t size = 0;
  if (!line.starts_with(size_mark)) return std::nullopt;
  line.remove_prefix(size_mark.size());
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return size;
}

}  // namespace

FileDigest digest_of(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  return {mapped.bytes().size(), sha256_hex(mapped.bytes())};
}

Manifest Manifest::parse(const std::string& text) {
  Manifest manifest;
  std::optional<uint64_t> size;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string_view digest = std::string_view(line).substr(0, digest_length);
    // "DIGEST  NAME" or, for a binary file, "DIGEST *NAME".
    const bool entry = is_digest(digest) && line.size() > digest_length + 2 &&
                       line[digest_length] == ' ' &&
                       (line[digest_length + 1] == ' ' || line[digest_length + 1] == '*');
    if (entry) manifest.add(line.substr(digest_length + 2), {size, std::string(digest)});
    size = parse_size(line);
  }
  return manifest;
}

std::string Manifest::text() const {
  std::string text = "# Checksums of this run's files; to check them: sha256sum -c\n";
  for (const auto& [name, digests] : files_) {
    for (const auto& digest : digests) {
      if (digest.size) text += std::string(size_mark) + std::to_string(*digest.size) + "\n";
      text += digest.sha256 + "  " + name + "\n";
    }
  }
  return text;
}

void Manifest::add(const std::string& name, const FileDigest& digest) {
  auto& digests = files_[name];
  if (std::find(digests.begin(), digests.end(), digest) == digests.end()) digests.push_back(digest);
}

void Manifest::replace(const std::string& name, const FileDigest& digest) {
  files_[name] = {digest};
}

const std::vector<FileDigest>& Manifest::digests(const std::string& name) const {
  static const std::vector<FileDigest> none;
  const auto found = files_.find(name);
  return found == files_.end() ? none : found->second;
}

std::vector<std::string> Manifest::names() const {
  std::vector<std::string> names;
  for (const auto& [name, digests] : files_) names.push_back(name);
  return names;
}

std::optional<std::string> difference(const std::filesystem::path& file,
                                      const std::vector<FileDigest>& digests) {
  const MappedFile mapped(file);
  const uint64_t size = mapped.bytes().size();
  const auto fits = [&](const FileDigest& digest) { return !digest.size || *digest.size == size; };
  if (std::none_of(digests.begin(), digests.end(), fits))
    return "it has " + std::to_string(size) + " bytes instead of " +
           std::to_string(digests.back().size.value_or(0));
  const std::string sha256 = sha256_hex(mapped.bytes());
  for (const auto& digest : digests)
    if (fits(digest) && digest.sha256 == sha256) return std::nullopt;
  return "its SHA-256 is not the one in the list of checksums";
}

}  // namespace edm2
