#include <algorithm>
#include <cstdio>
#include <cstring>

#include "edm2/core/error.h"
#include "edm2/io/tar.h"

namespace edm2 {
namespace {

constexpr size_t block = 512;
constexpr uint64_t longest_octal = (uint64_t{1} << 33) - 1;  // 11 digits

/// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
std::string pax_record(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length)
    length = std::to_string(length).size() + rest;
  return std::to_string(length) + ' ' + key + '=' + value + '\n';
}

}  // namespace

void TarWriter::put(char type, const std::string& name, std::span<const std::byte> contents) {
  char header[block] = {};
  const auto text = [&](size_t position, const std::string& value) {
    std::memcpy(header + position, value.data(), value.size());
  };
  const auto octal = [&](size_t position, int digits, uint64_t value) {
    char number[32];
    std::snprintf(number, sizeof number, "%0*llo", digits, static_cast<unsigned long long>(value));
    text(position, number);
  };
  text(0, name.substr(0, 100));
  octal(100, 7, 0644);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, std::min<uint64_t>(contents.size(), longest_octal));
  octal(136, 11, 0);
  text(148, std::string(8, ' '));
  header[156] = type;
  text(257, std::string("ustar\0"
                        "00",
                        8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  header[154] = '\0';
  file_.write(std::string_view(header, block));
  file_.write(contents);
  file_.write(std::string((block - contents.size() % block) % block, '\0'));
}

void TarWriter::add(const std::string& name, std::span<const std::byte> contents) {
  if (name.empty()) throw Error("a file in a tar archive must have a name");
  std::string pax;
  if (name.size() > 100) pax += pax_record("path", name);
  if (contents.size() > longest_octal) pax += pax_record("size", std::to_string(contents.size()));
  if (!pax.empty()) put('x', "pax-header", std::as_bytes(std::span(pax)));
  put('0', name, contents);
}

void TarWriter::add(const std::string& name, std::string_view contents) {
  add(name, std::as_bytes(std::span(contents.data(), contents.size())));
}

void TarWriter::finish() {
  file_.write(std::string(2 * block, '\0'));
  file_.commit();
}

}  // namespace edm2
