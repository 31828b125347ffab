#include "edm2/analysis/file_info.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "analysis/info_parts.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/image.h"
#include "edm2/io/json.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"
#include "edm2/nn/state_report.h"
#include "io/foreign_content.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr size_t longest_text = 200;

std::string shortened(std::string text) {
  return text.size() > longest_text ? text.substr(0, longest_text) + "..." : text;
}

// One value of a pickle in a few words.
InfoJson brief(const PickleValue& value) {
  using Kind = PickleValue::Kind;
  switch (value.kind()) {
    case Kind::none:
      return nullptr;
    case Kind::boolean:
      return value.as_bool();
    case Kind::integer:
      return value.as_int();
    case Kind::real:
      return value.as_double();
    case Kind::string:
      return shortened(value.as_string());
    case Kind::tensor:
      return dtype_name(value.as_tensor().scalar_type()) + ' ' +
             shape_text(value.as_tensor().sizes());
    case Kind::object:
      return "an object of the class " + shortened(value.class_name());
    case Kind::dict:
    case Kind::list:
    case Kind::tuple:
    case Kind::set:
      return value.kind_name() + " of " + std::to_string(value.size());
    default:
      return value.kind_name();
  }
}

// Mean and covariance of features: {"mu": [D], "sigma": [D, D]}.
bool is_statistics(const PickleValue& value) {
  const PickleValue* mu = value.is_dict() ? value.find("mu") : nullptr;
  const PickleValue* sigma = mu ? value.find("sigma") : nullptr;
  return sigma && mu->is_tensor() && sigma->is_tensor() && mu->as_tensor().dim() == 1 &&
         sigma->as_tensor().dim() == 2;
}

InfoJson statistics_info(const Tensor& mu, const Tensor& sigma) {
  InfoJson info = {{"features", mu.numel()}, {"type", dtype_name(mu.scalar_type())}};
  if (sigma.size(0) == sigma.size(1)) info["total_variance"] = sigma.trace().item<double>();
  return info;
}

InfoJson array_info(const Tensor& array) {
  return {{"shape", array.sizes().vec()}, {"type", dtype_name(array.scalar_type())}};
}

void add_picture(InfoJson& info, Bytes contents, const fs::path& path) {
  Image image;
  try {
    image = decode_image(contents, path.string());
  } catch (const Error&) {
    throw Error("this is no network, training state, dataset, statistics, array or picture" +
                in_brackets(describe_content(contents)));
  }
  info["kind"] = "picture";
  info["width"] = image.width;
  info["height"] = image.height;
  info["channels"] = image.channels;
  if (!has_magic(contents, "\x89PNG")) return;
  for (const auto& [key, text] : read_png_text(contents, path.string())) {
    const InfoJson parsed = json_or_null(text);
    if (parsed.is_object())
      info["text"][key] = parsed;
    else
      info["text"][key] = shortened(text);
  }
}

void add_zip(InfoJson& info, Bytes contents, const fs::path& path, const FileInfoOptions& options) {
  bool is_torch = false, is_npz = true;
  const ZipReader zip(path);
  for (const auto& entry : zip.entries()) {
    is_torch |= entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
    is_npz &= entry.name.ends_with(".npy") && entry.name.find('/') == std::string::npos;
  }
  if (is_torch) {
    add_torch_file(info, contents, path, options);
  } else if (is_npz) {
    add_arrays(info, path);
  } else {
    info["container"] = "zip";
    add_dataset(info, path);
    const InfoJson comment = json_or_null(zip.comment());  // as convert writes it
    if (comment.is_object() && comment.contains("class_names"))
      info["class_names"] = comment["class_names"];
  }
}

void add_file(InfoJson& info, const fs::path& path, const FileInfoOptions& options) {
  const MappedFile file(path);
  const Bytes contents = file.bytes();
  info["bytes"] = contents.size();
  add_name(info, path);
  if (is_safetensors(contents)) {
    add_safetensors(info, contents, path, options);
  } else if (has_magic(contents, "PK\x03\x04") || has_magic(contents, "PK\x05\x06")) {
    add_zip(info, contents, path, options);
  } else if (is_torch_file(contents)) {
    add_torch_file(info, contents, path, options);
  } else if (is_pickle(contents)) {
    info["container"] = "pickle";
    const PickleValue root = read_pickle(contents, path.string());
    if (holds_network_object(root)) {
      const Snapshot snapshot = snapshot_from_pickle(root);
      check_snapshot(snapshot);
      add_snapshot(info, snapshot, options);
    } else {
      add_pickle(info, root);
    }
  } else if (has_magic(contents, "\x93NUMPY")) {
    info["kind"] = "array";
    info.update(array_info(read_npy(contents, path.string())));
  } else {
    add_picture(info, contents, path);
  }
}

}  // namespace

InfoJson json_or_null(const std::string& text) {
  try {
    InfoJson parsed = parse_ordered_json(text);
    return parsed.is_object() ? parsed : InfoJson();
  } catch (const Error&) {
    return nullptr;
  }
}

bool has_magic(Bytes contents, std::string_view magic) {
  return contents.size() >= magic.size() &&
         std::memcmp(contents.data(), magic.data(), magic.size()) == 0;
}

void add_pickle(InfoJson& info, const PickleValue& root) {
  info["kind"] = "pickle";
  if (!root.is_dict()) {
    info["contents"] = brief(root);
    return;
  }
  InfoJson statistics = InfoJson::object(), contents = InfoJson::object();
  constexpr size_t most_keys = 100;
  for (const auto& [key, value] : root.items()) {
    if (contents.size() >= most_keys) break;
    const std::string name = key.is_string() ? shortened(key.as_string()) : key.kind_name();
    if (is_statistics(value))
      statistics[name] = statistics_info(value.at("mu").as_tensor(), value.at("sigma").as_tensor());
    else
      contents[name] = brief(value);
  }
  if (statistics.empty()) {
    info["contents"] = std::move(contents);
    return;
  }
  info["kind"] = "feature statistics";
  info.update(contents);
  info["statistics"] = std::move(statistics);
}

void add_arrays(InfoJson& info, const fs::path& path) {
  constexpr uint64_t largest_to_read = uint64_t{1} << 30;
  info["kind"] = "arrays";
  info["container"] = "npz";
  const ZipReader zip(path);
  const NpzFile arrays(path);
  InfoJson rows = InfoJson::array();
  for (const auto& entry : zip.entries()) {
    const std::string name = entry.name.substr(0, entry.name.size() - 4);
    InfoJson row = {{"name", shortened(name)}, {"shape", nullptr}, {"type", "unknown"}};
    if (entry.size <= largest_to_read) {
      try {
        row.update(array_info(arrays.get(name)));
      } catch (const Error&) {  // texts, structures
      }
    }
    row["bytes"] = entry.size;
    rows.push_back(std::move(row));
  }
  if (arrays.contains("mu") && arrays.contains("sigma")) {
    info["kind"] = "feature statistics";
    info["statistics"]["fid"] = statistics_info(arrays.get("mu"), arrays.get("sigma"));
    return;
  }
  info["arrays"] = std::move(rows);
}

InfoJson describe_file(const fs::path& path, const FileInfoOptions& options) {
  InfoJson info = {{"file", path.string()}, {"kind", nullptr}, {"bytes", nullptr}};
  std::error_code error;
  if (!fs::exists(path, error)) throw Error("there is no '" + path.string() + "'");
  with_file_name(path, [&] {
    if (fs::is_directory(path))
      add_folder(info, path);
    else
      add_file(info, path, options);
  });
  return info;
}

}  // namespace edm2
