#include "io/foreign_content.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>
#include <vector>

#include "io/code_pages.h"

namespace edm2 {
namespace {

using namespace std::string_view_literals;

struct KnownContent {
  std::string_view beginning, words;
};

constexpr KnownContent known_contents[] = {
    {"version https://git-lfs.github.com/"sv,
     "a pointer of Git LFS in place of the file; 'git lfs pull' fetches it"sv},
    {"\x1f\x8b"sv, "a gzip file; unpack it first"sv},
    {"BZh"sv, "a bzip2 file; unpack it first"sv},
    {"\xfd"
     "7zXZ\0"sv,
     "an xz file; unpack it first"sv},
    {"\x28\xb5\x2f\xfd"sv, "a Zstandard file; unpack it first"sv},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive; unpack it first"sv},
    {"Rar!\x1a\x07"sv, "a RAR archive; unpack it first"sv},
    {"PK\x03\x04"sv, "a zip archive"sv},
    {"PK\x05\x06"sv, "an empty zip archive"sv},
    {"\x89PNG\r\n\x1a\n"sv, "a PNG picture"sv},
    {"\xff\xd8\xff"sv, "a JPEG picture"sv},
    {"GIF8"sv, "a GIF picture"sv},
    {"%PDF-"sv, "a PDF document"sv},
    {"\x93NUMPY"sv, "a numpy array"sv},
    {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file"sv},
    {"PAR1"sv, "a Parquet table"sv},
    {"GGUF"sv, "a GGUF file of language models"sv},
    {"SQLite format 3\0"sv, "an SQLite database"sv},
    {"\0\x05\x16\x07"sv, "an AppleDouble file, which macOS puts beside the real one"sv},
    {"\0\0\x08\x03"sv, "an IDX file of pictures, which MNIST names train-images-idx3-ubyte"sv},
    {"\0\0\x08\x01"sv, "an IDX file of MNIST's labels; give that of the pictures"sv},
    {"\x7f"
     "ELF"sv,
     "a program"sv},
};

std::string lower_without_blanks_in_front(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf"sv)) text.remove_prefix(3);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  return ascii_lower(text);
}

}  // namespace

std::string describe_content(std::span<const std::byte> beginning) {
  const std::string_view text(reinterpret_cast<const char*>(beginning.data()),
                              std::min(beginning.size(), content_beginning));
  for (const KnownContent& kind : known_contents)
    if (text.starts_with(kind.beginning)) return std::string(kind.words);
  const std::string lower = lower_without_blanks_in_front(text);
  const bool has_html = lower.find("<html") != std::string::npos;
  if (lower.starts_with("<!doctype html") || lower.starts_with("<html") ||
      (lower.starts_with("<") && has_html))
    return "a web page (HTML), as servers send in place of a file; download it anew";
  if (lower.starts_with("<?xml") || lower.starts_with("<error>"))
    return lower.find("<error>") != std::string::npos
               ? "the error message of a file server (XML); download it anew"
               : "an XML text";
  constexpr size_t enough = 64;
  if (text.size() >= enough && std::all_of(text.begin(), text.end(), [](char c) { return c == 0; }))
    return "a file of zero bytes, as an interrupted copy leaves; copy it anew";
  return "";
}

std::string describe_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "";
  std::vector<char> beginning(content_beginning);
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<size_t>(file.gcount()));
  if (beginning.empty() && file.eof()) return "empty";
  return describe_content(std::as_bytes(std::span(beginning)));
}

std::string in_brackets(const std::string& description) {
  return description.empty() ? "" : " (it is " + description + ")";
}

}  // namespace edm2
