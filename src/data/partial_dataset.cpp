#include "data/partial_dataset.h"

#include <unistd.h>

#include <fstream>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace fs = std::filesystem;

PartialDataset::PartialDataset(const std::string& dest, const nlohmann::json& work)
    : dest_(dest), folder_(destination_path(dest).string() + ".partial") {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw Error("cannot create the folder '" + folder_.string() + "': " + error.message());
  const fs::path note = folder_ / "work.json";
  if (!fs::exists(note)) {
    if (!fs::is_empty(folder_))
      throw Error("the folder '" + folder_.string() +
                  "' is in the way; remove it or choose another --dest");
    write_file(note, work.dump(2) + "\n");
    return;
  }
  const auto before = nlohmann::json::parse(read_text_file(note), nullptr, false);
  if (before == work) return;
  std::string changed;
  if (before.is_object())
    for (const auto& [key, value] : work.items())
      if (!before.contains(key) || before[key] != value)
        changed += (changed.empty() ? "" : ", ") + key;
  throw Error("'" + folder_.string() + "' holds an unfinished dataset of another kind (" +
              (changed.empty() ? "work.json is damaged" : "another " + changed) +
              "); finish that, remove the folder, or choose another --dest");
}

std::vector<std::byte> PartialDataset::get(const std::string& name) const {
  const fs::path path = folder_ / name;
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) throw Error("cannot read '" + path.string() + "': " + error.message());
  std::vector<std::byte> bytes(size);
  RandomAccessFile(path).read_at(0, bytes);
  return bytes;
}

bool PartialDataset::has(const std::string& name,
                         const std::function<bool(std::span<const std::byte>)>& valid) const {
  std::error_code error;
  if (!fs::exists(folder_ / name, error)) return false;
  // A machine that went down may have lost contents of a file that it had already renamed.
  if (valid(get(name))) return true;
  fs::remove(folder_ / name, error);
  return false;
}

void PartialDataset::put(const std::string& name, std::span<const std::byte> contents) const {
  const fs::path path = folder_ / name;
  const fs::path temporary = path.string() + ".tmp-" + std::to_string(getpid());
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(temporary, std::ios::binary);
  file.write(reinterpret_cast<const char*>(contents.data()),
             static_cast<std::streamsize>(contents.size()));
  file.close();
  if (file) fs::rename(temporary, path, error);
  if (!file || error) {
    fs::remove(temporary, error);
    throw Error("cannot write '" + path.string() + "'; is the disk full?");
  }
}

void PartialDataset::finish(const LabelList& items,
                            const std::function<void(std::span<const std::byte>)>& look,
                            const std::function<nlohmann::ordered_json()>& more) const {
  {
    const auto dest = open_destination(dest_);
    for (const LabelledItem& item : items) {
      check_interrupt();
      const auto contents = get(item.name);
      look(contents);
      dest->add(item.name, contents, item.label);
    }
    dest->finish(more());
  }
  std::error_code error;
  fs::remove_all(folder_, error);
  if (error) throw Error("cannot remove '" + folder_.string() + "': " + error.message());
}

}  // namespace edm2
