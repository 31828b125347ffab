// Which labels the pictures of a source get.
#include <algorithm>

#include "data/folder_classes.h"
#include "data/label_rules.h"
#include "data/name_text.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// Whoever packs class folders expects them to count.
void note_unread_folders(const std::vector<PictureSource::Item>& items,
                         std::vector<std::string>& notes) {
  const std::vector<std::string> folders = classes_of_folders(names_of(items)).folders;
  const auto is_number = [](const std::string& folder) {  // as datasets are laid out
    return folder.find_first_not_of("0123456789") == std::string::npos;
  };
  if (folders.size() < 2 || std::all_of(folders.begin(), folders.end(), is_number)) return;
  notes.push_back(
      "there is no dataset.json in the archive, so the pictures have no labels; "
      "--labels=folders takes the names of its " +
      with_commas(folders.size()) + " folders");
}

/// "a/cat/0.png" and "a/dog/0.png", where the folder in front hides the classes.
std::string folder_in_front_note(const std::vector<PictureSource::Item>& items,
                                 const std::string& path, bool is_folder) {
  std::vector<std::string_view> names = names_of(items);
  if (names.empty()) return "";
  const std::string_view front = names.front().substr(0, names.front().find('/') + 1);
  if (front.empty()) return "";
  for (std::string_view& name : names) {
    if (!name.starts_with(front)) return "";
    name.remove_prefix(front.size());
  }
  const size_t classes = classes_of_folders(names).folders.size();
  if (classes < 2) return "";
  const std::string folder(front.substr(0, front.size() - 1));
  return "all pictures lie in the folder " + quoted_name(folder) + ", so its " +
         with_commas(classes) + " folders are no classes; " +
         (is_folder
              ? "name " + quoted_name(path + "/" + folder) + " to take them"
              : "pack the archive without that folder, and use --labels=folders to take them");
}

}  // namespace

void apply_labels(PictureSource& source, const SourceOptions& options) {
  auto& items = source.items_;
  auto& notes = source.notes_;
  const auto take_folders = [&] {
    const size_t folders = label_by_folders(items);
    if (folders > 1) source.label_origin_ = "folders";
    return folders;
  };
  if (options.labels == "auto") {
    source.read_own_labels(options);
    if (!source.label_origin_.empty()) return;
    if (source.kind() == "folder" && take_folders() > 1 && source.has_label_file_)
      notes.push_back(
          "dataset.json lists no labels, so the names of the folders are the classes; "
          "--labels=none takes none");
    if (source.kind() == "zip" && !source.has_label_file_) note_unread_folders(items, notes);
    if (source.label_origin_.empty() && !source.has_label_file_)
      source.add_note(folder_in_front_note(items, options.path, source.kind() == "folder"));
    return;
  }
  for (auto& item : items) item.label = nullptr;
  if (options.labels == "folders") {
    if (take_folders() < 2 && !items.empty())
      notes.push_back("all pictures lie in one folder, so --labels=folders gives no labels");
  } else if (options.labels != "none") {
    label_by_file(items, options.labels, notes);
    source.label_origin_ = "table";
  }
}

void PictureSource::read_own_labels(const SourceOptions&) {
  if (std::any_of(items_.begin(), items_.end(),
                  [](const Item& item) { return !item.label.is_null(); }))
    label_origin_ = "source";
}

void PictureSource::take_labels(FileLabels labels) {
  has_label_file_ = labels.exists;
  for (std::string& note : labels.notes) notes_.push_back(std::move(note));
  // As the original: an empty list is none, and the folders count.
  if (!labels.listed || (labels.some_name.empty() && kind() == "folder")) return;
  if (labels.some_name.empty())
    notes_.push_back(labels.where + " lists no labels, so the pictures have none");
  label_origin_ = "dataset.json";
  size_t found = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    found += labels.labels[i].is_null() ? 0 : 1;
    items_[i].label = std::move(labels.labels[i]);
  }
  if (found == 0 && !items_.empty() && !labels.some_name.empty())
    notes_.push_back(labels.where + " has names such as " + quoted_name(labels.some_name) +
                     ", but no label for any picture, such as " + quoted_name(items_.front().name));
}

size_t label_by_folders(std::vector<PictureSource::Item>& items) {
  const FolderClasses classes = classes_of_folders(names_of(items));
  if (classes.folders.size() > 1)
    for (size_t i = 0; i < items.size(); ++i) items[i].label = classes.class_of[i];
  return classes.folders.size();
}

std::string useless_labels_note(const PictureSource& source, int64_t count) {
  LabelForm form;
  for (int64_t i = 0; i < count; ++i) {
    const auto& [name, label] = source.items()[static_cast<size_t>(i)];
    const std::string problem = label.is_null() ? "" : form.problem_of(label);
    if (!problem.empty())
      return "training refuses these labels: " + quoted_name(name) + " has " + problem;
  }
  return "";
}

std::string missing_labels_note(const PictureSource& source, int64_t count, bool beside_pictures) {
  if (source.label_origin().empty()) return "";
  const auto end = source.items().begin() + count;
  const auto is_missing = [](const PictureSource::Item& item) { return item.label.is_null(); };
  const auto first = std::find_if(source.items().begin(), end, is_missing);
  const auto missing = static_cast<size_t>(std::count_if(first, end, is_missing));
  if (missing == 0) return "";
  return with_commas(missing) + " of " + with_commas(static_cast<size_t>(count)) +
         (missing == 1 ? " pictures has no label: " : " pictures have no label, the first is ") +
         quoted_name(first->name) +
         (beside_pictures ? "; the others keep theirs" : "; the dataset gets none");
}

}  // namespace edm2
