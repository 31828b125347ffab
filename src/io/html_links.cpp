#include "io/html_links.h"

#include <cctype>
#include <cstdint>
#include <set>

#include "io/code_pages.h"

namespace edm2 {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// The value of an attribute, whose '=' stands at `at`.
std::string_view attribute_value(std::string_view html, size_t at) {
  ++at;
  while (at < html.size() && is_blank(html[at])) ++at;
  if (at >= html.size()) return {};
  const char quote = html[at];
  if (quote == '"' || quote == '\'') {
    const size_t end = html.find(quote, at + 1);
    return end == std::string_view::npos ? std::string_view() : html.substr(at + 1, end - at - 1);
  }
  size_t end = at;
  while (end < html.size() && !is_blank(html[end]) && html[end] != '>') ++end;
  return html.substr(at, end - at);
}

std::string without_entities(std::string_view text) {
  std::string result(text);
  for (const auto& [entity, character] :
       {std::pair("&quot;", '"'), std::pair("&#39;", '\''), std::pair("&lt;", '<'),
        std::pair("&gt;", '>'), std::pair("&amp;", '&')})
    for (size_t at = 0; (at = result.find(entity, at)) != std::string::npos; ++at)
      result.replace(at, std::string_view(entity).size(), 1, character);
  return result;
}

// "/data/run/" of "https://host/data/run/".
std::string_view path_of(std::string_view address) {
  const size_t host = address.find("://");
  if (host == std::string_view::npos) return address;
  const size_t path = address.find('/', host + 3);
  return path == std::string_view::npos ? "/" : address.substr(path);
}

// The part of a link behind the folder's address; empty if it leads elsewhere.
std::string_view relative_to(std::string_view folder, std::string_view link) {
  if (link.starts_with("./")) return link.substr(2);
  if (link.starts_with("//")) return {};
  const bool is_address = link.find("://") != std::string_view::npos;
  if (!is_address && !link.starts_with('/')) return link;
  const std::string_view base = is_address ? folder : path_of(folder);
  return link.starts_with(base) ? link.substr(base.size()) : std::string_view();
}

}  // namespace

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                       hex_value(text[i + 2]) >= 0;
    result +=
        coded ? static_cast<char>(16 * hex_value(text[i + 1]) + hex_value(text[i + 2])) : text[i];
    if (coded) i += 2;
  }
  return result;
}

std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 128 &&
        (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos)) {
      result += c;
    } else {
      result += '%';
      result += digits[byte >> 4];
      result += digits[byte & 15];
    }
  }
  return result;
}

std::vector<std::string> linked_files(std::string_view html, std::string_view folder) {
  constexpr std::string_view attribute = "href";
  std::vector<std::string> names;
  std::set<std::string> known;
  for (size_t at = 0; at + attribute.size() < html.size(); ++at) {
    if (ascii_lower(html.substr(at, attribute.size())) != attribute) continue;
    size_t equals = at + attribute.size();
    while (equals < html.size() && is_blank(html[equals])) ++equals;
    if (equals >= html.size() || html[equals] != '=') continue;
    const std::string link = without_entities(attribute_value(html, equals));
    if (link.find_first_of("?#") != std::string::npos) continue;
    const std::string name = percent_decoded(relative_to(folder, link));
    // Names from elsewhere must not lead out of a folder.
    const bool is_file = !name.empty() && name != "." && name != ".." &&
                         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    if (is_file && known.insert(name).second) names.push_back(name);
  }
  return names;
}

}  // namespace edm2
