// Datasets in tar shards, as the WebDataset library lays them out: the files of one sample follow
// each other and have the same name up to the first dot.
#include <algorithm>
#include <unordered_map>

#include "data/label_rules.h"
#include "data/picture_source.h"
#include "data/shard_archive.h"
#include "data/shard_members.h"
#include "data/tar_labels.h"
#include "edm2/core/error.h"
#include "edm2/io/json.h"

namespace edm2 {
namespace {

constexpr uint64_t longest_label = 1 << 20;
constexpr uint64_t longest_file = uint64_t{4} << 30;

class TarShards : public PictureSource {
 public:
  TarShards(const std::vector<std::string>& paths, const SourceOptions& options) : paths_(paths) {
    const auto unpacked = std::make_shared<UnpackedFiles>();
    ShardNotes notes;
    for (const std::string& path : paths) {
      shards_.push_back(open_shard(path, unpacked));
      add_shard(shards_.size() - 1, paths.size() == 1 ? "" : shard_stem(path) + "/", options,
                notes);
    }
    notes_ = notes.sentences();
  }
  std::string kind() const override { return "tar"; }
  std::vector<std::byte> read(size_t index) const override {
    const auto& [shard, entry] = places_.at(index);
    if (file_of(shard, entry).size > longest_file)
      throw Error("'" + items_[index].name + "' is larger than 4 GiB");
    return shards_[shard]->read(entry);
  }

 protected:
  void read_own_labels(const SourceOptions& options) override {
    for (size_t i = 0; i < items_.size(); ++i) {
      const auto file = label_files_.find(i);
      if (file == label_files_.end()) continue;
      const auto& [shard, entry] = file->second;
      try {
        items_[i].label = label_of(shard, entry);
      } catch (const Error& error) {
        if (options.on_error == OnError::stop) throw;
        refused_.push_back({file_of(shard, entry).name,
                            std::string(error.what()) + " (its picture is without a label)"});
      }
    }
    note_other_labels();
    settle_labels(items_, {.where = "'" + options.path + "'", .name_of = {}}, notes_);
    PictureSource::read_own_labels(options);
    if (label_origin_.empty() && list_)
      take_listed_labels(options);
    else if (list_)
      notes_.push_back(
          "dataset.json in the archive is not read, because labels stand beside the pictures");
  }

 private:
  const TarEntry& file_of(size_t shard, size_t entry) const {
    return shards_[shard]->directory().entries[entry];
  }

  std::vector<std::byte> bytes_of(size_t shard, size_t entry, uint64_t most) const {
    const TarEntry& file = file_of(shard, entry);
    if (file.size > most)
      throw Error("'" + file.name + "' in '" + paths_[shard] + "' is too long for labels");
    return shards_[shard]->read(entry);
  }

  Label label_of(size_t shard, size_t entry) const {
    return label_in_file(bytes_of(shard, entry, longest_label), file_of(shard, entry).name,
                         paths_[shard]);
  }

  /// Of a .cls and a .json in one sample the first counts.
  void note_other_labels() {
    std::vector<size_t> others;
    for (const auto& [item, rival] : rivals_) {
      try {
        const Label other = label_of(rival.first, rival.second);
        if (!other.is_null() && other != items_[item].label) others.push_back(item);
      } catch (const Error&) {  // of no use beside the .cls
      }
    }
    if (others.empty()) return;
    const auto [shard, entry] = rivals_.at(*std::min_element(others.begin(), others.end()));
    notes_.push_back(std::to_string(others.size()) +
                     (others.size() == 1 ? " sample has" : " samples have") +
                     " another label in .json than in .cls, which counts; the first is '" +
                     file_of(shard, entry).name + "'");
  }

  /// A dataset that was packed as a whole.
  void take_listed_labels(const SourceOptions& options) {
    FileLabels labels;
    labels.exists = true;
    labels.where = "dataset.json in '" + options.path + "'";
    auto list = label_list_of(
        parse_label_json(bytes_of(list_->first, list_->second, longest_file), labels.where),
        labels.where);
    if (list) labels_from_list(std::move(*list), names_of(items_), labels);
    take_labels(std::move(labels));
  }

  void add_shard(size_t shard, const std::string& prefix, const SourceOptions& options,
                 ShardNotes& notes) {
    const auto& entries = shards_[shard]->directory().entries;
    ShardMembers members = sort_members(shards_[shard]->directory(), options, paths_[shard], notes);
    for (FileProblem& problem : members.refused)
      refused_.push_back({prefix + problem.name, std::move(problem.reason)});
    std::unordered_map<std::string, size_t> item_of;  // by key
    for (const size_t i : members.pictures) {
      item_of.emplace(sample_key(entries[i].name), items_.size());
      items_.push_back({prefix + entries[i].name, nullptr});
      places_.emplace_back(shard, i);
    }
    for (const size_t i : members.others) {
      const std::string& name = entries[i].name;
      const std::string extension = lower_extension(name);
      const bool is_class = extension == ".cls";
      if (!is_class && extension != ".json") continue;
      const auto item = item_of.find(sample_key(name));
      if (item != item_of.end()) {
        const auto [place, added] = label_files_.emplace(item->second, std::pair(shard, i));
        if (added) continue;
        rivals_[item->second] = is_class ? place->second : std::pair(shard, i);
        if (is_class) place->second = {shard, i};
      } else if (is_class && options.image_key.empty()) {
        notes.labels_of_nothing.push_back(prefix + name);
      } else if (prefix.empty() && is_label_file(name)) {
        list_ = {shard, i};
      }
    }
  }

  std::vector<std::string> paths_;
  std::vector<std::unique_ptr<ShardArchive>> shards_;
  std::vector<std::pair<size_t, size_t>> places_;  // shard and entry of every item
  std::unordered_map<size_t, std::pair<size_t, size_t>> label_files_;  // those of items
  std::unordered_map<size_t, std::pair<size_t, size_t>> rivals_;       // .json beside such a .cls
  std::optional<std::pair<size_t, size_t>> list_;                      // dataset.json
};

}  // namespace

std::unique_ptr<PictureSource> open_tar_shards(const std::vector<std::string>& shards,
                                               const SourceOptions& options) {
  return std::make_unique<TarShards>(shards, options);
}

}  // namespace edm2
