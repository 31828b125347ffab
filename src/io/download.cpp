#include "io/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>

#include "edm2/core/error.h"
#include "edm2/core/file_lock.h"
#include "edm2/core/platform.h"
#include "edm2/io/digest.h"
#include "edm2/io/download_cache.h"
#include "io/cache_files.h"
#include "io/http.h"
#include "io/partial_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint64_t spare_disk = uint64_t{64} << 20;
constexpr uint64_t worth_another_round = uint64_t{1} << 20;
constexpr std::chrono::seconds sync_interval{1};

/// An attempt failed in a way that on_response() or on_body() noticed.
struct AttemptFailed {
  HttpFailure failure;
};

void pause_for(milliseconds duration) {
  const auto end = Clock::now() + duration;
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    check_interrupt();
    std::this_thread::sleep_for(std::min(
        std::chrono::duration_cast<milliseconds>(end - now) + milliseconds(1), milliseconds(50)));
  }
  check_interrupt();
}

/// A time stamp tells versions apart only if the file was not changed in that very second
/// (RFC 9110, 8.8.2.2).
std::string usable_last_modified(const HttpResponse& response) {
  const time_t modified = curl_getdate(response.last_modified.c_str(), nullptr);
  const time_t now = curl_getdate(response.date.c_str(), nullptr);
  return modified >= 0 && now >= 0 && now - modified >= 1 ? response.last_modified : "";
}

RemoteFile describe_remote(const HttpResponse& response, const std::string& url) {
  RemoteFile remote;
  if (!response.etag.starts_with("W/")) remote.etag = response.etag;
  remote.last_modified = usable_last_modified(response);
  remote.length = response.content_length;
  remote.name = cached_file_name(url, response.content_disposition);
  return remote;
}

class Download final : public HttpReceiver {
 public:
  Download(const std::string& url, const fs::path& folder, const std::string& stem,
           bool keep_unfinished, const FetchOptions& options, Progress& progress)
      : url_(url),
        shown_url_(without_password(url)),
        folder_(folder),
        options_(options),
        progress_(progress),
        part_(folder, stem, url),
        furthest_(part_.size()) {
    if (!keep_unfinished) part_.discard();
  }

  fs::path run() {
    progress_.message("Downloading " + shown_url_ + " ...");
    if (!part_.is_complete()) attempt_until_whole();
    const fs::path target = folder_ / part_.remote().name;
    part_.commit(target);
    note_origin(target, shown_url_);
    remove_others(target);
    return target;
  }

  void on_response(const HttpResponse& response) override {
    if (!response.content_encoding.empty() && response.content_encoding != "identity")
      give_up("the server sends the file compressed, which it was not asked for");
    if (!response.content_length && !response.has_end_mark)
      give_up(
          "the server does not tell the file's length, so that nobody could notice a missing "
          "part");
    if (response.status == 206)
      continue_with(response);
    else
      part_.restart(describe_remote(response, url_));
    check_space();
    const uint64_t rest = part_.remote().length.value_or(part_.size()) - part_.size();
    progress_.start(part_.size() > 0 ? "Downloading the rest" : "Downloading",
                    static_cast<int64_t>(rest), "byte");
  }

  void on_body(std::span<const std::byte> bytes) override {
    if (part_.remote().length && bytes.size() > *part_.remote().length - part_.size())
      start_over("the server sends more than it announced");
    part_.append(bytes);
    progress_.advance(static_cast<int64_t>(bytes.size()));
  }

  void on_tick() override {
    check_interrupt();
    const auto now = Clock::now();
    if (now - last_sync_ < sync_interval) return;
    last_sync_ = now;
    if (!part_.remote().length) check_space();
    part_.sync();
  }

 private:
  [[noreturn]] void give_up(const std::string& reason) { throw AttemptFailed{{reason, true}}; }
  /// What has arrived belongs to another version of the file: the next attempt begins at the
  /// first byte.
  [[noreturn]] void start_over(const std::string& reason) {
    part_.restart({});
    throw AttemptFailed{{reason}};
  }

  void continue_with(const HttpResponse& response) {
    const RemoteFile& remote = part_.remote();
    std::optional<uint64_t> total = response.range_total;
    if (!total && response.content_length) total = part_.size() + *response.content_length;
    const bool other_version = (!response.etag.empty() && response.etag != remote.etag) ||
                               (remote.length && total != remote.length);
    if (part_.size() == 0 || response.range_first != part_.size() || other_version)
      start_over("the file on the server has changed meanwhile");
    if (total && *total < part_.size()) start_over("the server contradicts itself on the length");
    if (total) part_.set_length(*total);
  }

  void check_space() {
    std::error_code failed;
    const fs::space_info space = fs::space(folder_, failed);
    if (failed) return;
    const auto& length = part_.remote().length;
    // A file of unknown length must not fill the disk to the last byte.
    const uint64_t needed = length ? *length - part_.size() : spare_disk;
    if (space.available >= needed) return;
    throw Error("cannot download " + shown_url_ + ": " +
                (length ? format_bytes(needed) + " are missing, but " : "") + folder_.string() +
                " has only " + format_bytes(space.available) +
                " of free space; make room there or choose another --cache-dir");
  }

  void attempt_until_whole() {
    milliseconds pause = options_.first_pause;
    for (int failed = 0;;) {
      const auto failure = attempt();
      if (!failure) return;
      progress_.finish();
      part_.sync();
      if (part_.size() >= furthest_ + worth_another_round) {
        failed = 0;
        pause = options_.first_pause;
      }
      furthest_ = std::max(furthest_, part_.size());
      ++failed;
      if (failure->is_final || failed >= options_.attempts) fail(*failure, failed);
      pause_before_next(*failure, failed, pause);
      pause = std::min(pause * 2, options_.longest_pause);
    }
  }

  [[noreturn]] void fail(const HttpFailure& failure, int attempts) {
    throw Error("cannot download " + shown_url_ + ": " + failure.reason +
                (failure.is_final ? ""
                                  : " (after " + std::to_string(attempts) +
                                        (attempts == 1 ? " attempt)" : " attempts)")));
  }

  void pause_before_next(const HttpFailure& failure, int failed, milliseconds pause) {
    if (failure.retry_after)
      pause = std::clamp(std::chrono::duration_cast<milliseconds>(*failure.retry_after), pause,
                         std::max(pause, options_.longest_pause));
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3g", static_cast<double>(pause.count()) / 1000);
    progress_.message("Download failed: " + failure.reason + "; attempt " +
                      std::to_string(failed + 1) + " of " + std::to_string(options_.attempts) +
                      " in " + seconds + " s");
    pause_for(pause);
  }

  /// One exchange; none if the file is whole now.
  std::optional<HttpFailure> attempt() {
    HttpRequest request{url_};
    const RemoteFile& remote = part_.remote();
    if (part_.size() > 0 && remote.has_validator()) {
      request.offset = part_.size();
      request.if_range = remote.etag.empty() ? remote.last_modified : remote.etag;
    }
    last_sync_ = Clock::now();
    try {
      if (auto failure = http_get(request, options_, *this)) {
        // 416: there are no bytes from here on, so these are not the first ones of that file.
        if (failure->status == 416) part_.restart({});
        return failure;
      }
    } catch (const AttemptFailed& failed) {
      return failed.failure;
    } catch (...) {  // interrupted, or the disk is full
      keep_what_arrived();
      throw;
    }
    if (part_.size() == 0) return HttpFailure{"the server sends an empty file"};
    if (part_.remote().length.value_or(part_.size()) != part_.size())
      return HttpFailure{"the connection broke off"};
    progress_.finish();
    return std::nullopt;
  }

  void keep_what_arrived() {
    try {
      part_.sync();
    } catch (const Error&) {  // the error on its way says more
    }
  }

  /// Several files of one address would hide each other.
  void remove_others(const fs::path& target) {
    for (const fs::path& file : cached_files_of(url_, folder_)) {
      std::error_code ignored;
      if (file != target) fs::remove(file, ignored);
    }
  }

  const std::string url_, shown_url_;
  const fs::path folder_;
  const FetchOptions& options_;
  Progress& progress_;
  PartialFile part_;
  uint64_t furthest_;  ///< bytes that were there before the last attempt, at most
  Clock::time_point last_sync_ = Clock::now();
};

std::string random_hex() {
  std::random_device random;
  std::string text;
  for (int i = 0; i < 4; ++i) {
    char part[16];
    std::snprintf(part, sizeof part, "%08x", random());
    text += part;
  }
  return text;
}

}  // namespace

fs::path download(const std::string& url, const fs::path& folder, const FetchOptions& options,
                  Progress& progress) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error("cannot create the folder '" + folder.string() + "' (" + failed.message() +
                "); choose another --cache-dir");
  const std::string stem = "tmp_" + md5_hex(url);
  std::unique_ptr<FileLock> lock = FileLock::try_acquire(folder / (stem + ".lock"));
  if (!lock)
    progress.message("Waiting for another process that downloads " + without_password(url));
  while (!lock) {
    pause_for(milliseconds(100));
    lock = FileLock::try_acquire(folder / (stem + ".lock"));
  }
  // Whoever held the lock may have brought it.
  if (const auto file = only_cached_file(url, folder)) return *file;
  // Where locks do not work, nobody else may write to the same file, or go on with it.
  const bool locked = lock->is_effective();
  const std::string own_stem = locked ? stem : "tmp_" + random_hex() + "_" + md5_hex(url);
  return Download(url, folder, own_stem, /*keep_unfinished=*/locked, options, progress).run();
}

}  // namespace edm2
