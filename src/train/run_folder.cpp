#include "train/run_folder.h"

#include <chrono>
#include <regex>
#include <thread>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

std::unique_ptr<FileLock> lock_folder(const fs::path& folder, std::chrono::seconds patience) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    if (auto lock = FileLock::try_acquire(folder / ".lock")) return lock;
    if (std::chrono::steady_clock::now() - begin > patience)
      throw Error("another run is at work in '" + folder.string() +
                  "'; wait until it has ended or choose another --outdir");
    check_interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

[[noreturn]] void fail(const std::string& what, const fs::path& path, const std::error_code& why) {
  throw Error("cannot " + what + " " + path.string() + ": " + why.message());
}

/// Removes a file, if it is there, when the scope ends.
class Removal {
 public:
  explicit Removal(fs::path path) : path_(std::move(path)) {}
  ~Removal() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;

 private:
  fs::path path_;
};

}  // namespace

void RunFolder::open(std::chrono::seconds patience) {
  prepare_output_folder(path_);
  if (!lock_) lock_ = lock_folder(path_, patience);
  remove_leftovers();
  read_manifest();
}

void RunFolder::close() {
  std::error_code ignored;
  if (lock_) fs::remove(staging(), ignored);  // empty
  lock_.reset();
}

/// The staging folder and the temporary names of AtomicFile.
void RunFolder::remove_leftovers() const {
  static const std::regex temporary(
      R"(\.(checksums\.sha256|training_options\.json|stats\.jsonl|\.edm2-write-test)\.\d+-[0-9a-f]{16}\.tmp)");
  std::error_code ignored;
  fs::remove_all(staging(), ignored);
  for (const auto& entry : fs::directory_iterator(path_, ignored))
    if (std::regex_match(entry.path().filename().string(), temporary))
      fs::remove(entry.path(), ignored);
}

void RunFolder::read_manifest() {
  manifest_ = {};
  if (!fs::exists(path_ / manifest_name)) return;
  manifest_ = Manifest::parse(read_text_file(path_ / manifest_name));
  // A run that was killed may have listed a file that it did not come to, and users delete files.
  for (const std::string& name : manifest_.names())
    if (!fs::exists(path_ / name)) manifest_.erase(name);
}

void RunFolder::write_manifest(Manifest manifest) {
  write_file(path_ / manifest_name, manifest.text());
  manifest_ = std::move(manifest);
}

void RunFolder::publish(const std::string& name, const FileWriter& write) {
  const fs::path target = path_ / name, staged = staging() / name;
  std::error_code failed;
  fs::create_directories(staging(), failed);
  if (failed) fail("write", target, failed);
  const Removal if_not_renamed(staged);
  write(staged);
  const FileDigest digest = digest_of(staged);
  // Whenever the run is killed, the file that has the name is among those listed for it.
  const bool replaces = fs::exists(target, failed);
  Manifest manifest = manifest_;
  if (replaces)
    manifest.add(name, digest);
  else
    manifest.replace(name, digest);
  write_manifest(manifest);
  fs::rename(staged, target, failed);
  if (failed) fail("write", target, failed);
  sync_to_disk(path_);
  if (!replaces) return;
  manifest_.replace(name, digest);
  try {
    write_manifest(manifest_);
  } catch (const Error&) {
    // The list on the disk has the old digest too, until it is written again.
  }
}

std::optional<std::string> RunFolder::damage(const std::string& name) const {
  const auto& digests = manifest_.digests(name);
  return digests.empty() ? std::nullopt : difference(path_ / name, digests);
}

void RunFolder::remove(const std::vector<std::string>& names) {
  if (names.empty()) return;
  Manifest manifest = manifest_;
  for (const std::string& name : names) {
    std::error_code failed;
    fs::remove(path_ / name, failed);
    if (failed) fail("delete", path_ / name, failed);
    manifest.erase(name);
  }
  write_manifest(manifest);
}

}  // namespace edm2
