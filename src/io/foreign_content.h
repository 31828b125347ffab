/// What a file is that is not what was asked for.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace edm2 {

/// How many bytes of a file's beginning describe_content() looks at.
constexpr size_t content_beginning = 1024;

/// Names contents by their first bytes, with what to do about them where that is certain: "a
/// pointer of Git LFS in place of the file; 'git lfs pull' fetches it", "a web page (HTML), which
/// servers send in place of a file; download it anew", "a gzip file; unpack it". "" if nothing is
/// recognised. For the error of a reader that has not found its own format; the text holds nothing
/// of the file.
std::string describe_content(std::span<const std::byte> beginning);
/// The same for a file, and "empty" if it is; "" also if it cannot be read.
std::string describe_file(const std::filesystem::path& path);

/// " (it is TEXT)", or "" for "": the end of a sentence.
std::string in_brackets(const std::string& description);

}  // namespace edm2
