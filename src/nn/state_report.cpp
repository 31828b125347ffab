#include "edm2/nn/state_report.h"

#include <algorithm>
#include <map>

#include "edm2/core/printable.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {
namespace {

using Rows = std::vector<StateReport::Row>;

// "a, b and c" or "a, b, c and 7 more".
std::string list_names(const Rows& rows) {
  constexpr size_t most = 3;
  std::string text;
  for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
    const bool last = i + 1 == rows.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + rows[i].name;
  }
  if (rows.size() > most) text += " and " + std::to_string(rows.size() - most) + " more";
  return text;
}

// Floating-point numbers, but no mere powers of two, which are scales of something else.
bool holds_weights(at::ScalarType type) {
  return at::isFloatingType(type) && type != at::kFloat8_e8m0fnu;
}

const char* plural(const Rows& rows) { return rows.size() == 1 ? "" : "s"; }

}  // namespace

std::string printable_name(std::string_view name) {
  constexpr size_t longest = 120;
  return printable_within(name, longest);
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::string StateReport::sentence() const {
  std::string text;
  const auto add = [&](const std::string& clause) { text += (text.empty() ? "" : "; ") + clause; };
  if (!missing.empty())
    add(std::string("the network lacks the tensor") + plural(missing) + ' ' + list_names(missing));
  if (!unexpected.empty())
    add(std::string("the network has the tensor") + plural(unexpected) + ' ' +
        list_names(unexpected) + ", which its options do not explain");
  if (unfitting.size() == 1)
    add(unfitting[0].name + " is " + unfitting[0].found + ", but the network's options demand " +
        unfitting[0].expected);
  const auto has_type = [](const Row& row) {
    return row.found.find(" of type ") != row.found.npos;
  };
  if (unfitting.size() > 1 && std::all_of(unfitting.begin(), unfitting.end(), has_type))
    add(list_names(unfitting) + " hold no weights (" + unfitting[0].name + " is " +
        unfitting[0].found + ")");
  else if (unfitting.size() > 1)
    add(list_names(unfitting) + " have other shapes than the network's options demand");
  return text;
}

std::string StateReport::table() const {
  constexpr size_t most_rows = 200;
  Rows rows = {{"tensor", "expected", "found"}};
  for (const Rows* part : {&missing, &unexpected, &unfitting})
    rows.insert(rows.end(), part->begin(), part->end());
  const size_t left_out = rows.size() > most_rows ? rows.size() - most_rows : 0;
  rows.resize(rows.size() - left_out);
  size_t name_width = 0, expected_width = 0;
  for (Row& row : rows) {
    if (row.expected.empty()) row.expected = "nothing";
    if (row.found.empty()) row.found = "nothing";
    name_width = std::max(name_width, row.name.size());
    expected_width = std::max(expected_width, row.expected.size());
  }
  std::string text;
  for (Row& row : rows) {
    row.name.resize(name_width, ' ');
    row.expected.resize(expected_width, ' ');
    text += row.name + "  " + row.expected + "  " + row.found + '\n';
  }
  if (left_out > 0) text += "... and " + std::to_string(left_out) + " more\n";
  return text;
}

StateReport compare_state(const NetworkOptions& options, const StateDict& tensors) {
  validate(options);
  std::map<std::string, const Tensor*> found;
  for (const auto& [name, tensor] : tensors)
    if (!found.emplace(name, &tensor).second)
      throw Error("the network has two tensors named " + printable_name(name));
  StateReport report;
  for (const StateEntry& entry : state_layout(options)) {
    const auto position = found.find(entry.name);
    if (position == found.end()) {
      report.missing.push_back({entry.name, shape_text(entry.shape), ""});
      continue;
    }
    const Tensor& tensor = *position->second;
    found.erase(position);
    const bool are_numbers = holds_weights(tensor.scalar_type());
    if (tensor.sizes() == at::IntArrayRef(entry.shape) && are_numbers) continue;
    std::string shape = shape_text(tensor.sizes());
    if (!are_numbers) shape += std::string(" of type ") + c10::toString(tensor.scalar_type());
    report.unfitting.push_back({entry.name, shape_text(entry.shape), std::move(shape)});
  }
  // In the order of the file, not of the map.
  for (const auto& [name, tensor] : tensors)
    if (found.contains(name))
      report.unexpected.push_back({printable_name(name), "", shape_text(tensor.sizes())});
  return report;
}

}  // namespace edm2
