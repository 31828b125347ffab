#include "edm2/data/check.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/ordered_workers.h"
#include "data/copy_names.h"
#include "data/foreign_files.h"
#include "data/picture_source.h"
#include "data/training_view.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/printable.h"
#include "edm2/data/file_source.h"
#include "edm2/io/digest.h"
#include "edm2/io/npz.h"
#include "io/image_outline.h"

namespace edm2 {
namespace {

/// What one item is, or why it is nothing.
struct Finding {
  std::string shape, digest;
  bool square = false, latent = false;
  std::optional<std::string> problem;
};

bool is_latent(const PictureSource& source, size_t index) {
  return lower_extension(source.items()[index].name) == ".npy";
}

/// As training sees it, or as convert does where training would not take it.
Image decode_as_trained(const PictureSource& source, size_t index, bool ramps_are_grey) {
  const auto bytes = source.read(index);
  const std::string& name = source.items()[index].name;
  if (outline_image(bytes, name).kind == ImageOutline::Kind::grey_deep)
    return decode_picture(bytes, name, Channels::keep);
  return decode_for_training(bytes, name, ramps_are_grey);
}

Finding look_at(const PictureSource& source, size_t index, bool trainable, bool ramps_are_grey) {
  Finding finding;
  finding.latent = is_latent(source, index);
  const std::string& name = source.items()[index].name;
  try {
    if (finding.latent) {
      const Tensor array = as_latents(read_npy(source.read(index), name));
      if (array.dim() < 2 || array.numel() == 0)
        throw Error("the array in '" + name + "' is not an image");
      const int64_t height = array.size(-2), width = array.size(-1);
      finding.shape = shape_text({array.numel() / (height * width), height, width});
      finding.square = height == width;
      finding.digest =
          sha256_hex({static_cast<const std::byte*>(array.const_data_ptr()), array.nbytes()});
    } else {
      const Image image = trainable ? decode_as_trained(source, index, ramps_are_grey)
                                    : source.decode(index, Channels::keep);
      finding.shape = shape_text({image.channels, image.height, image.width});
      finding.square = image.height == image.width;
      finding.digest = sha256_hex(std::as_bytes(std::span(image.pixels)));
    }
  } catch (const Error& error) {
    finding.problem = error.what();
  }
  return finding;
}

void describe_labels(const PictureSource& source, DatasetReport& report) {
  std::set<size_t> lengths;  // 0: a class
  for (const auto& item : source.items()) {
    if (item.label.is_null()) {
      report.unlabelled.push_back(item.name);
      continue;
    }
    ++report.labelled;
    lengths.insert(item.label.is_array() ? item.label.size() : 0);
    if (item.label.is_array()) continue;
    // Beyond what a dimension can be.
    if (item.label.is_number_unsigned() && item.label.get<uint64_t>() >= INT64_MAX) continue;
    const auto number = item.label.get<int64_t>();
    ++report.classes[number];
    report.label_dim = std::max(report.label_dim, number + 1);
  }
  if (source.label_origin().empty()) report.unlabelled.clear();
  if (lengths.size() > 1) report.labels = "mixed";
  if (lengths.size() != 1) return;
  report.labels = *lengths.begin() == 0 ? "classes" : "vectors";
  if (*lengths.begin() > 0) report.label_dim = static_cast<int64_t>(*lengths.begin());
}

/// Training takes labels from dataset.json or else from folders, and is strict about them.
void find_label_obstacles(const PictureSource& source, DatasetReport& report) {
  auto& obstacles = report.obstacles;
  if (source.label_origin() == "table")
    obstacles.push_back("the labels are in a file of their own; convert the dataset with them");
  if (source.label_origin() == "folders" && (report.kind == "zip" || source.has_label_file()))
    obstacles.push_back(
        "training takes no labels from the folders' names here; convert the dataset with them");
  if (!report.unlabelled.empty())
    obstacles.push_back(std::to_string(report.unlabelled.size()) + " pictures have no label");
  const auto count = static_cast<int64_t>(source.items().size());
  if (std::string note = useless_labels_note(source, count); !note.empty())
    obstacles.push_back(std::move(note));
}

bool is_trainable_kind(const PictureSource& source) {
  return source.kind() == "folder" || source.kind() == "zip";
}

void find_obstacles(const PictureSource& source, DatasetReport& report, bool all_square,
                    const TrainingVerdict& verdict) {
  auto& obstacles = report.obstacles;
  const bool trainable_kind = is_trainable_kind(source);
  if (!trainable_kind)
    obstacles.push_back("training reads folders and zip archives; convert it first");
  if (report.pictures + report.latents == 0)
    obstacles.push_back("there are no pictures" + report.instead);
  if (!report.broken.empty())
    obstacles.push_back(std::to_string(report.broken.size()) + " files are broken or refused");
  if (report.shapes.size() > 1) obstacles.push_back("pictures have different shapes");
  if (report.pictures > 0 && report.latents > 0)
    obstacles.push_back("pictures and latents are mixed");
  if (!all_square) obstacles.push_back("pictures are not square");
  find_label_obstacles(source, report);
  if (!trainable_kind || !obstacles.empty()) return;
  // What training itself finds has the last word.
  const int64_t items = report.pictures + report.latents;
  if (!verdict.obstacle.empty())
    obstacles.push_back(verdict.obstacle);
  else if (verdict.size != items)
    obstacles.push_back("training sees " + std::to_string(verdict.size) + " of these " +
                        std::to_string(items) + " items: it does not follow links to folders");
  else if (report.labelled > 0 && verdict.label_dim == 0)
    obstacles.push_back("training finds no labels in it; convert the dataset with them");
}

/// "img (1).png" beside "img.png".
void note_copies(const PictureSource& source, DatasetReport& report) {
  std::unordered_set<std::string> names;
  for (const auto& item : source.items()) names.insert(item.name);
  size_t count = 0;
  std::string first;
  for (const auto& item : source.items()) {
    const auto originals = originals_of(item.name);
    const auto original = std::find_if(originals.begin(), originals.end(),
                                       [&](const auto& name) { return names.contains(name); });
    if (original == originals.end()) continue;
    if (count++ == 0) first = "'" + item.name + "' beside '" + *original + "'";
  }
  if (count > 0)
    report.notes.push_back(std::to_string(count) + (count == 1 ? " name looks" : " names look") +
                           " like that of a second copy: " + first);
}

template <class List>
std::string cut_list(const List& list, const std::function<std::string(size_t)>& line) {
  constexpr size_t most = 20, longest_line = 1000;
  std::string text;
  for (size_t i = 0; i < std::min(list.size(), most); ++i)
    text += "  " + printable_within(line(i), longest_line) + "\n";
  if (list.size() > most)
    text += "  ... and " + std::to_string(list.size() - most) + " more (--json lists all)\n";
  return text;
}

/// "a.png = b.png = c.png and 4997 more".
std::string group_text(const std::vector<std::string>& names) {
  constexpr size_t most = 4, longest_name = 120;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i > 0 ? " = " : "") + printable_within(names[i], longest_name);
  if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
  return text;
}

}  // namespace

DatasetReport check_dataset(const SourceOptions& options, int threads, Progress& progress) {
  SourceOptions all = options;
  all.content = SourceContent::both;
  all.on_error = OnError::skip;  // lists them
  const auto source = open_picture_source(all);
  DatasetReport report;
  report.path = options.path;
  report.kind = source->kind();
  report.broken = source->refused();
  report.notes = source->notes();
  report.instead = source->instead();
  describe_labels(*source, report);
  note_copies(*source, report);
  const bool trainable = is_trainable_kind(*source);
  const TrainingVerdict verdict = trainable ? training_verdict(options.path) : TrainingVerdict{};
  for (const std::string& note : verdict.notes)
    if (std::find(report.notes.begin(), report.notes.end(), note) == report.notes.end())
      report.notes.push_back(note);
  const bool ramps_are_grey = verdict.shape.empty() || verdict.shape[0] == 1;

  const auto count = static_cast<int64_t>(source->items().size());
  if (threads <= 0) threads = worker_threads();
  OrderedWorkers<Finding> workers(threads, int64_t{4} * threads, count, [&](int64_t index) {
    return look_at(*source, static_cast<size_t>(index), trainable, ramps_are_grey);
  });
  std::unordered_map<std::string, std::vector<size_t>> same;
  bool all_square = true;
  progress.start("Checking", count, "image");
  for (size_t i = 0; i < source->items().size(); ++i, progress.advance()) {
    check_interrupt();
    const Finding finding = workers.next();
    ++(finding.latent ? report.latents : report.pictures);
    if (finding.problem) {
      report.broken.push_back({source->items()[i].name, *finding.problem});
      continue;
    }
    ++report.shapes[finding.shape];
    all_square = all_square && finding.square;
    same[finding.shape + ' ' + finding.digest].push_back(i);
  }
  progress.finish();
  std::vector<std::vector<size_t>> groups;
  for (auto& [digest, items] : same)
    if (items.size() > 1) groups.push_back(std::move(items));
  std::sort(groups.begin(), groups.end());
  for (const auto& group : groups) {
    auto& names = report.duplicates.emplace_back();
    for (const size_t i : group) names.push_back(source->items()[i].name);
  }
  find_obstacles(*source, report, all_square, verdict);
  return report;
}

nlohmann::ordered_json to_json(const DatasetReport& report) {
  nlohmann::ordered_json json;
  json["path"] = report.path;
  json["kind"] = report.kind;
  json["pictures"] = report.pictures;
  json["latents"] = report.latents;
  json["shapes"] = report.shapes;
  json["labels"] = report.labels;
  json["labelled"] = report.labelled;
  json["label_dim"] = report.label_dim;
  auto& classes = json["classes"] = nlohmann::ordered_json::object();
  for (const auto& [number, count] : report.classes) classes[std::to_string(number)] = count;
  json["unlabelled"] = report.unlabelled;
  auto& broken = json["broken"] = nlohmann::ordered_json::array();
  for (const FileProblem& problem : report.broken)
    broken.push_back({{"name", problem.name}, {"reason", problem.reason}});
  json["duplicates"] = report.duplicates;
  json["notes"] = report.notes;
  json["trainable"] = report.obstacles.empty();
  json["obstacles"] = report.obstacles;
  return json;
}

std::string to_text(const DatasetReport& report) {
  std::string text = printable(report.path) + " (" + report.kind + ")\n";
  text += "Pictures:   " + std::to_string(report.pictures) + "\n";
  if (report.latents > 0) text += "Latents:    " + std::to_string(report.latents) + "\n";
  for (const auto& [shape, count] : report.shapes)
    text +=
        "Shape:      " + shape + " (channels x height x width), " + std::to_string(count) + "\n";
  text += "Labels:     " + report.labels;
  if (report.labelled > 0)
    text += ", " + std::to_string(report.labelled) + " items, dimension " +
            std::to_string(report.label_dim);
  text += "\n";
  if (!report.classes.empty()) {
    std::vector<std::pair<int64_t, int64_t>> counts;  // items, class
    for (const auto& [number, count] : report.classes) counts.emplace_back(count, number);
    std::stable_sort(counts.begin(), counts.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    text += "Classes:    " + std::to_string(counts.size()) + " in use, " +
            std::to_string(counts.back().first) + " to " + std::to_string(counts.front().first) +
            " items each\n";
    text += cut_list(counts, [&](size_t i) {
      const auto width = static_cast<size_t>(40 * counts[i].first / counts.front().first);
      return "class " + std::to_string(counts[i].second) + ": " + std::to_string(counts[i].first) +
             " " + std::string(width, '#');
    });
  }
  if (!report.unlabelled.empty())
    text += "Without label: " + std::to_string(report.unlabelled.size()) + "\n" +
            cut_list(report.unlabelled, [&](size_t i) { return report.unlabelled[i]; });
  text += "Broken:     " + std::to_string(report.broken.size()) + "\n" +
          cut_list(report.broken, [&](size_t i) {
            return report.broken[i].name + ": " + report.broken[i].reason;
          });
  text += "Duplicates: " + std::to_string(report.duplicates.size()) + " groups\n" +
          cut_list(report.duplicates, [&](size_t i) { return group_text(report.duplicates[i]); });
  for (const auto& note : report.notes) text += "Note: " + printable(note) + "\n";
  text += "Training:   ";
  if (report.obstacles.empty()) return text + "possible\n";
  text += "impossible\n";
  for (const auto& obstacle : report.obstacles) text += "  " + printable(obstacle) + "\n";
  return text;
}

}  // namespace edm2
