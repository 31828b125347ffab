#include "ema/web_snapshots.h"

#include "edm2/core/platform.h"

namespace edm2 {

WebSnapshots::WebSnapshots(std::string url, std::filesystem::path folder,
                           std::vector<std::string> names, FetchOptions options)
    : url_(std::move(url)),
      folder_(std::move(folder)),
      names_(std::move(names)),
      options_(std::move(options)) {
  for (int i = 0; i < ahead; ++i) tickets_.put(i);
  thread_ = std::thread([this] {
    try {
      download_all();
    } catch (...) {
      error_ = std::current_exception();
    }
    arrived_.close();
  });
}

WebSnapshots::~WebSnapshots() {
  tickets_.abort();
  arrived_.abort();
  thread_.join();
}

void WebSnapshots::download_all() {
  const auto quiet = make_progress(ProgressStyle::quiet);
  for (const std::string& name : names_) {
    if (!tickets_.take()) return;
    check_interrupt();
    download_file(web_file_address(url_, name), folder_ / name, options_, *quiet);
    arrived_.put(folder_ / name);
  }
}

std::filesystem::path WebSnapshots::next() {
  auto file = arrived_.take();
  if (!file) std::rethrow_exception(error_);
  tickets_.put(0);
  return *file;
}

}  // namespace edm2
