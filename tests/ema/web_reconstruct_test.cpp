// Reconstruction from snapshots on a web server.
#include <gtest/gtest.h>

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/ema/reconstruct.h"
#include "support/checks.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::ServedFile;
using test::ServerConnection;
using test::ServerRequest;

// A folder of the disk as a web server shows it; the first `failures` requests of files break off
// in the middle.
class FolderServer {
 public:
  explicit FolderServer(fs::path folder, int failures = 0)
      : folder_(std::move(folder)),
        failures_(failures),
        server_({[this](const ServerRequest& request, ServerConnection& connection) {
          answer(request, connection);
        }}) {}

  std::string url() const { return server_.url("run/"); }
  // File names asked for, without the listing.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& request : server_.requests())
      if (request.target != "/run/") names.push_back(request.target.substr(5));
    return names;
  }

 private:
  void answer(const ServerRequest& request, ServerConnection& connection) {
    if (request.target == "/run/") {
      std::string page = "<html><a href=\"../\">..</a>";
      for (const auto& entry : fs::directory_iterator(folder_))
        page += "<a href=\"" + entry.path().filename().string() + "\">x</a>";
      serve(ServedFile{.body = page})(request, connection);
      return;
    }
    ServedFile file{.body = test::read_file(folder_ / request.target.substr(5))};
    if (file.body.empty()) return test::status(404)(request, connection);
    if (failures_-- > 0) file.cut_after = file.body.size() / 2;
    serve(file)(request, connection);
  }

  fs::path folder_;
  std::atomic<int> failures_;
  test::HttpServer server_;
};

ReconstructOptions options_for(const std::string& indir, const fs::path& outdir) {
  ReconstructOptions options;
  options.indir = indir;
  options.outdir = outdir;
  options.outstds = {0.07, 0.1, 0.15};
  options.fetch.first_pause = options.fetch.longest_pause = std::chrono::milliseconds(1);
  return options;
}

}  // namespace

TEST(WebReconstruct, GivesTheFilesOfALocalRun) {
  const test::TempDir dir;
  test::write_snapshots(dir / "in", 3);
  test::RecordingProgress progress;
  reconstruct_phema(options_for((dir / "in").string(), dir / "local"), progress);
  const FolderServer server(dir / "in", /*failures=*/2);
  reconstruct_phema(options_for(server.url(), dir / "web"), progress);
  EXPECT_EQ(test::names_in(dir / "web"), test::names_in(dir / "local"));  // nothing else is left
  for (const auto& name : test::names_in(dir / "local"))
    EXPECT_EQ(test::read_file(dir / "web" / name), test::read_file(dir / "local" / name)) << name;
  EXPECT_EQ(progress.total, 6);
  EXPECT_EQ(progress.done, 6);
}

TEST(WebReconstruct, KeepsAndReusesSnapshots) {
  const test::TempDir dir;
  test::write_snapshots(dir / "in", 2);
  const FolderServer server(dir / "in");
  ReconstructOptions options = options_for(server.url(), dir / "out");
  options.keep = dir / "kept";
  options.filter.stds = {0.1};
  test::RecordingProgress progress;
  reconstruct_phema(options, progress);
  EXPECT_EQ(server.files().size(), 2u);
  EXPECT_EQ(test::names_in(dir / "kept"),
            (std::vector<std::string>{"network-snapshot-0000001-0.100.pkl",
                                      "network-snapshot-0000002-0.100.pkl"}));
  for (const auto& name : test::names_in(dir / "kept"))
    EXPECT_EQ(test::read_file(dir / "kept" / name), test::read_file(dir / "in" / name));
  const std::string before = test::read_file(dir / "out" / "phema-0000002-0.150.pkl");
  fs::remove_all(dir / "out");
  options.filter.stds.clear();
  reconstruct_phema(options, progress);
  EXPECT_EQ(server.files().size(), 4u);  // only the two that were not there
  EXPECT_NE(test::read_file(dir / "out" / "phema-0000002-0.150.pkl"), before);
}

TEST(WebReconstruct, ErrorsAreNamedAndNothingHalfIsLeft) {
  const test::TempDir dir;
  test::write_snapshots(dir / "in", 2);
  const fs::path victim = dir / "in" / "network-snapshot-0000002-0.050.pkl";
  fs::resize_file(victim, fs::file_size(victim) / 2);
  const FolderServer server(dir / "in");
  test::RecordingProgress progress;
  try {
    reconstruct_phema(options_for(server.url(), dir / "out"), progress);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(victim.filename().string()), std::string::npos);
  }
  for (const auto& name : test::names_in(dir / "out")) EXPECT_EQ(name, ".edm2-snapshots");
  ReconstructOptions options = options_for(server.url() + "missing/", dir / "out");
  options.fetch.attempts = 1;
  EXPECT_THROW(reconstruct_phema(options, progress), Error);
  options = options_for(server.url(), dir / "out");
  options.fetch.offline = true;
  EXPECT_THROW(reconstruct_phema(options, progress), Error);
  // Plans are made from names alone.
  options = options_for(server.url(), dir / "plan");
  options.report = options.dry_run = true;
  const size_t files = server.files().size();
  reconstruct_phema(options, progress);
  EXPECT_EQ(server.files().size(), files);
  EXPECT_EQ(test::names_in(dir / "plan").size(), 2u);
}

}  // namespace edm2
