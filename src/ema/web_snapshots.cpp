#include "ema/web_snapshots.h"

#include "edm2/core/platform.h"

namespace edm2 {

WebSnapshots::WebSnapshots(std::string url, std::filesystem::path folder,
                           std::vector<std::string> names, FetchOptions options)
    : downloads_(/*threads=*/1, ahead, static_cast<int64_t>(names.size()),
                 [url = std::move(url), folder = std::move(folder), names, options](int64_t i) {
                   const std::string& name = names[static_cast<size_t>(i)];
                   check_interrupt();
                   const auto quiet = make_progress(ProgressStyle::quiet);
                   download_file(web_file_address(url, name), folder / name, options, *quiet);
                   return folder / name;
                 }) {}

}  // namespace edm2
