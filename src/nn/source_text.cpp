#include "nn/source_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "nn/network_fields.h"

namespace edm2 {
namespace {

// The names of the specification, which the original's text defines, all of them.
constexpr auto known_classes =
    std::to_array<std::string_view>({"MPFourier", "MPConv", "Block", "UNet", "Precond"});
constexpr auto known_functions =
    std::to_array<std::string_view>({"normalize", "resample", "mp_silu", "mp_sum", "mp_cat"});
constexpr auto known_methods = std::to_array<std::string_view>({"__init__", "forward"});
constexpr std::string_view known_module = "training.networks_edm2";

template <class List>
bool contains(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::string_view without_indent(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : line.substr(begin);
}

// The name behind a keyword, if one of `ends` follows it.
std::string_view name_behind(std::string_view line, std::string_view keyword,
                             std::string_view ends) {
  if (!line.starts_with(keyword)) return {};
  line = without_indent(line.substr(keyword.size()));
  size_t size = 0;
  while (size < line.size() && (std::isalnum(static_cast<unsigned char>(line[size])) ||
                                line[size] == '_' || line[size] == '.'))
    ++size;
  const std::string_view rest = without_indent(line.substr(size));
  if (rest.empty() || ends.find(rest.front()) == std::string_view::npos) return {};
  return line.substr(0, size);
}

struct Names {
  std::set<std::string_view> classes, functions, modules;
};

Names names_in(std::string_view source) {
  Names names;
  const auto add = [](std::set<std::string_view>& set, std::string_view name) {
    if (!name.empty()) set.insert(name);
  };
  while (!source.empty()) {
    const size_t end = std::min(source.find('\n'), source.size());
    const std::string_view line = without_indent(source.substr(0, end));
    source.remove_prefix(std::min(end + 1, source.size()));
    add(names.classes, name_behind(line, "class ", ":("));
    add(names.functions, name_behind(line, "def ", "("));
    add(names.modules, name_behind(line, "from ", "i"));
  }
  return names;
}

std::string quoted(std::string_view name) {
  constexpr size_t longest = 80;
  return '\'' + std::string(name.substr(0, longest)) + '\'';
}

}  // namespace

std::vector<std::string> unusual_in_source(std::string_view source) {
  const Names names = names_in(source);
  std::vector<std::string> found;
  if (names.classes.empty() && names.functions.empty()) {
    for (const std::string_view module : names.modules)
      if (module != known_module) found.push_back("it takes its classes from " + quoted(module));
    return found;
  }
  for (const std::string_view name : names.classes)
    if (!contains(known_classes, name)) found.push_back("it defines the class " + quoted(name));
  for (const std::string_view name : names.functions)
    if (!contains(known_functions, name) && !contains(known_methods, name))
      found.push_back("it defines the function " + quoted(name));
  if (!names.classes.contains("Precond")) return found;
  for (const std::string_view name : known_classes)
    if (!names.classes.contains(name)) found.push_back("it does not define " + quoted(name));
  for (const std::string_view name : known_functions)
    if (!names.functions.contains(name)) found.push_back("it does not define " + quoted(name));
  if (names.functions.contains("mp_silu") && source.find("0.596") == std::string_view::npos)
    found.emplace_back("its mp_silu has another constant");
  return found;
}

bool is_known_class(std::string_view name) { return contains(known_classes, name); }

bool is_known_argument(std::string_view name) {
  constexpr auto of_layers = std::to_array<std::string_view>(
      {"class_name", "in_channels", "out_channels", "emb_channels", "flavor", "resample_mode",
       "attention", "kernel", "num_channels", "bandwidth"});
  bool known = contains(of_layers, name);
  const NetworkOptions options;
  for_each_field(options,
                 [&](std::string_view field, const auto&) { known = known || field == name; });
  return known;
}

}  // namespace edm2
