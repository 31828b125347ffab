#include "edm2/io/json.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "edm2/core/error.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

/// Where the parser stopped, counted from 1, and the commonest mistake by name.
std::string place_of(std::string_view text, size_t bytes_read) {
  const size_t end = std::min(bytes_read > 0 ? bytes_read - 1 : 0, text.size());
  const std::string_view before = text.substr(0, end);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t column = end - (before.rfind('\n') + 1) + 1;  // npos + 1 = 0
  std::string place = "line " + std::to_string(line) + ", column " + std::to_string(column);
  const size_t last = before.find_last_not_of(" \t\r\n");
  if (end == text.size())
    place += ": the text ends too early";
  else if (last != std::string_view::npos && before[last] == ',' &&
           (text[end] == ']' || text[end] == '}'))
    place += std::string(": a comma stands before '") + text[end] + "'";
  return place;
}

/// Looked at beforehand, because a parser that asks at each value takes half as long again.
void check_depth(std::string_view text) {
  constexpr int deepest = 32;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
    } else if (text[i] == '[' || text[i] == '{') {
      if (++depth > deepest) throw Error("JSON that is nested too deeply");
    } else if (text[i] == ']' || text[i] == '}') {
      --depth;
    }
  }
}

template <class Json>
Json parse(std::string_view text, const typename Json::parser_callback_t& look_at = nullptr) {
  check_depth(text);
  try {
    return Json::parse(text.begin(), text.end(), look_at);
  } catch (const typename Json::parse_error& error) {
    throw Error("not valid JSON: " + place_of(text, error.byte));
  } catch (const typename Json::exception&) {
    throw Error("not valid JSON: a number is out of range");
  }
}

/// Looking for keys that stand twice takes half as long again.
nlohmann::json parse_looking_at_keys(std::string_view text, std::string& repeated) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  return parse<nlohmann::json>(text, [&](int, auto event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second &&
        repeated.empty())
      repeated = parsed.get<std::string>();
    return true;
  });
}

std::string json_text_of(std::string_view bytes) {
  std::string text = utf8_text(bytes);
  const bool python =
      text.find("NaN") != std::string::npos || text.find("Infinity") != std::string::npos;
  return python ? without_python_numbers(text) : text;
}

}  // namespace

nlohmann::json parse_json(std::string_view text) { return parse<nlohmann::json>(text); }

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
  return parse<nlohmann::ordered_json>(text);
}

nlohmann::json parse_json_file(std::span<const std::byte> bytes, const std::string& name,
                               std::string* repeated_key) {
  return parse_json_file({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name,
                         repeated_key);
}

nlohmann::json parse_json_file(std::string_view bytes, const std::string& name,
                               std::string* repeated_key) {
  try {
    const std::string text = json_text_of(bytes);
    if (!is_utf8(text)) throw Error("not valid JSON: it is not in UTF-8; save it so");
    const bool several_keys = std::count(text.begin(), text.end(), ':') > 1;
    return repeated_key != nullptr && several_keys ? parse_looking_at_keys(text, *repeated_key)
                                                   : parse_json(text);
  } catch (const Error& error) {
    const auto begin = std::as_bytes(std::span(bytes.data(), bytes.size()));
    throw Error(name + " is " + error.what() + in_brackets(describe_content(begin)));
  }
}

std::string without_python_numbers(std::string_view text) {
  using namespace std::string_view_literals;
  constexpr std::string_view words[] = {"NaN"sv, "Infinity"sv, "-Infinity"sv};
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    const bool may_begin = !in_string && (text[i] == 'N' || text[i] == 'I' || text[i] == '-');
    const auto word = std::find_if(std::begin(words), std::end(words), [&](std::string_view w) {
      return may_begin && text.substr(i).starts_with(w);
    });
    if (word != std::end(words)) {
      result += "null";
      i += word->size();
      continue;
    }
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\') length = std::min<size_t>(2, text.size() - i);
    result += text.substr(i, length);
    i += length;
  }
  return result;
}

}  // namespace edm2
