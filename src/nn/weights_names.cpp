#include "nn/weights_names.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "edm2/core/error.h"
#include "edm2/nn/state_report.h"

namespace edm2 {
namespace {

std::string quoted_list(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + ("'" + words[i] + "'");
  return text;
}

struct FlatDict {
  StateDict tensors;
  size_t others = 0;  // entries that are no tensors
};

// {"ema": {"unet.out_gain": x}} -> "ema.unet.out_gain".
void flatten(const PickleValue& dict, const std::string& prefix, int depth, FlatDict& out) {
  constexpr int deepest = 4;
  for (const auto& [key, value] : dict.items()) {
    if (!key.is_string() || (value.is_dict() && depth >= deepest)) {
      ++out.others;
      continue;
    }
    const std::string name = prefix + key.as_string();
    if (value.is_tensor())
      out.tensors.emplace_back(name, value.as_tensor());
    else if (value.is_dict())
      flatten(value, name + '.', depth + 1, out);
    else
      ++out.others;
  }
}

// torch.compile() and others put a name of their own in front of every module that they wrap.
// "module." may be the beginning of all names, too: there it is a prefix like any other.
void drop_wrapper_names(StateDict& tensors, Notes& notes) {
  std::set<std::string> dropped;
  for (auto& [name, tensor] : tensors)
    for (const std::string wrapper :
         {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "module."})
      for (size_t at = name.find(wrapper); at != std::string::npos; at = name.find(wrapper, at)) {
        const bool is_part = at == 0 || name[at - 1] == '.';
        const size_t unet = name.find("unet.");
        if (!is_part || (wrapper == "module." && unet > at)) {
          at += wrapper.size();
          continue;
        }
        name.erase(at, wrapper.size());
        dropped.insert(wrapper);
      }
  for (const std::string& wrapper : dropped)
    notes.push_back("took '" + wrapper + "' out of the names");
}

// What stands in front of the names of the networks in the file, each with the number of
// well-known names behind it.
std::map<std::string, int> find_prefixes(const StateDict& tensors) {
  std::map<std::string, int> counts;
  for (const auto& [name, tensor] : tensors)
    for (const std::string_view anchor :
         {"unet.out_gain", "unet.emb_noise.weight", "unet.emb_fourier.freqs",
          "unet.out_conv.weight", "logvar_linear.weight", "logvar_fourier.freqs"})
      if (name.ends_with(anchor)) {
        const std::string prefix = name.substr(0, name.size() - anchor.size());
        if (prefix.empty() || prefix.ends_with('.')) ++counts[prefix];
      }
  return counts;
}

StateDict without_prefix(const StateDict& tensors, const std::string& prefix) {
  StateDict result;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) result.emplace_back(name.substr(prefix.size()), tensor);
  return result;
}

StateDict with_chosen_prefix(const StateDict& tensors, std::string prefix, Notes& notes) {
  if (!prefix.empty() && !prefix.ends_with('.')) prefix += '.';
  StateDict chosen = without_prefix(tensors, prefix);
  if (chosen.empty()) throw Error("no tensor's name begins with '" + prefix + "'");
  if (chosen.size() < tensors.size())
    notes.push_back("left out " + std::to_string(tensors.size() - chosen.size()) +
                    " tensors whose names do not begin with '" + prefix + "'");
  return chosen;
}

void note_left_out(const StateDict& left_out, const std::string& what, Notes& notes) {
  if (left_out.empty()) return;
  notes.push_back("left out " + std::to_string(left_out.size()) + " tensors " + what +
                  " (the first is '" + printable_name(left_out.front().first) + "')");
}

// Takes out those whose names `is_meant` does not want.
StateDict take_others(StateDict& tensors,
                      const std::function<bool(const std::string&, const Tensor&)>& is_meant) {
  StateDict others;
  for (auto& [name, tensor] : tensors)
    if (!is_meant(name, tensor)) others.emplace_back(name, tensor);
  std::erase_if(tensors, [&](const auto& entry) { return !is_meant(entry.first, entry.second); });
  return others;
}

// Of ema-pytorch's two networks the average is the one to draw with.
void prefer_average(std::vector<std::string>& prefixes, Notes& notes) {
  constexpr std::string_view average = "ema_model.", online = "online_model.";
  if (prefixes.size() != 2 || !prefixes[0].ends_with(average) || !prefixes[1].ends_with(online) ||
      prefixes[0].substr(0, prefixes[0].size() - average.size()) !=
          prefixes[1].substr(0, prefixes[1].size() - online.size()))
    return;
  notes.push_back("this is the moving average; --prefix=" + prefixes[1] +
                  " takes the network that is being trained");
  prefixes.pop_back();
}

StateDict with_found_prefix(StateDict tensors, Notes& notes) {
  const auto counts = find_prefixes(tensors);
  std::vector<std::string> best;
  int most = 0;
  for (const auto& [prefix, count] : counts) {
    if (count > most) best.clear();
    most = std::max(most, count);
    if (count == most) best.push_back(prefix);
  }
  if (best.empty() || best.front().empty()) {
    // The network that needs no prefix; further ones have theirs.
    const auto is_meant = [&](const std::string& name, const Tensor&) {
      return std::none_of(best.begin(), best.end(), [&](const std::string& prefix) {
        return !prefix.empty() && name.starts_with(prefix);
      });
    };
    note_left_out(take_others(tensors, is_meant), "of further networks in the file", notes);
    const auto is_no_counter = [](const std::string& name, const Tensor& tensor) {
      return name.find('.') != std::string::npos || tensor.numel() > 1;
    };
    if (!best.empty())
      note_left_out(take_others(tensors, is_no_counter), "that count something", notes);
    return tensors;
  }
  prefer_average(best, notes);
  if (best.size() > 1)
    throw Error("the file holds several networks: choose one of the prefixes " + quoted_list(best) +
                " with --prefix");
  const std::string& prefix = best.front();
  notes.push_back("took '" + prefix + "' off the names");
  const auto is_meant = [&](const std::string& name, const Tensor&) {
    return name.starts_with(prefix);
  };
  note_left_out(take_others(tensors, is_meant), "whose names do not begin so", notes);
  return without_prefix(tensors, prefix);
}

}  // namespace

StateDict tensors_of(const BareWeights& bare, Notes& notes) {
  if (!bare.tensors.empty()) return bare.tensors;
  if (!bare.torch_root.is_dict())
    throw Error("the file holds " + bare.torch_root.kind_name() +
                " instead of a state dict (torch.save(module.state_dict(), FILE) writes one)");
  FlatDict found;
  flatten(bare.torch_root, "", 0, found);
  if (found.tensors.empty()) throw Error("the file holds no tensors by name");
  if (found.others > 0)
    notes.push_back("left out " + std::to_string(found.others) + " entries that are no tensors");
  return std::move(found.tensors);
}

StateDict tidy_names(StateDict tensors, const std::optional<std::string>& prefix, Notes& notes) {
  drop_wrapper_names(tensors, notes);
  return prefix ? with_chosen_prefix(tensors, *prefix, notes)
                : with_found_prefix(std::move(tensors), notes);
}

StateDict named_tensors(const PickleValue& root) {
  FlatDict found;
  if (root.is_dict()) flatten(root, "", 0, found);
  return std::move(found.tensors);
}

bool holds_network_tensors(const StateDict& tensors) { return !find_prefixes(tensors).empty(); }

}  // namespace edm2
