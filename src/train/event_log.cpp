#include "train/event_log.h"

#include <cmath>

#include "core/measuring.h"
#include "edm2/core/error.h"

namespace edm2 {

EventLog::EventLog(std::filesystem::path folder, int64_t start_nimg, bool enabled, RunLog& log)
    : folder_(std::move(folder)), start_nimg_(start_nimg), enabled_(enabled), log_(log) {}

void EventLog::write(const std::function<void(EventFile&, double now)>& work) {
  if (!enabled_) return;
  const double now = unix_time();
  try {
    // A resumed run goes on behind its state's image count, whose status has been written before.
    if (!file_)
      file_ = std::make_unique<EventFile>(folder_, start_nimg_ == 0 ? 0 : start_nimg_ + 1, now);
    work(*file_, now);
    file_->flush();
  } catch (const Error& error) {
    enabled_ = false;
    log_.line(std::string("Note: no more events for TensorBoard: ") + error.what());
  }
}

void EventLog::add(int64_t nimg, const NamedValues& values) {
  NamedValues finite;
  for (const auto& [name, value] : values)
    if (std::isfinite(value)) finite.emplace_back(name, value);
  if (finite.empty()) return;
  write([&](EventFile& file, double now) { file.add_scalars(nimg, now, finite); });
}

void EventLog::add(int64_t nimg, const std::string& tag, const Image& image,
                   std::span<const std::byte> png) {
  write([&](EventFile& file, double now) { file.add_image(nimg, now, tag, image, png); });
}

}  // namespace edm2
