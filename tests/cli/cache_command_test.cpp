// edm2 cache, and what becomes of downloads when processes end in the middle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/io/download_cache.h"
#include "edm2/nn/snapshot.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::HttpServer;
using test::read_file;
using test::RunResult;
using test::serve;
using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::vector<std::string>;

class CacheCli : public testing::Test {
 protected:
  CacheCli() { fs::create_directories(downloads); }
  RunResult run(const Words& words) const {
    return test::run_edm2(words, {.environment = environment});
  }
  /// `script` of a shell; $edm2 is the program.
  RunResult shell(const std::string& script) const {
    auto variables = environment;
    variables["edm2"] = test::program().string();
    return test::run_command({"sh", "-c", script}, {.environment = variables});
  }
  std::string notes_of(const std::string& url) const {
    return downloads / ("tmp_" + md5_hex(url) + ".json");
  }
  fs::path file_of(const std::string& url) const { return downloads / cached_file_name(url, ""); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(downloads))
      result.push_back(entry.path().filename().string());
    return result;
  }
  test::TempDir dir;
  fs::path downloads = dir / "cache" / "downloads";
  std::map<std::string, std::optional<std::string>> environment = {
      {"DNNLIB_CACHE_DIR", dir / "cache"}, {"http_proxy", {}}, {"all_proxy", {}}};
  const std::string body = std::string(300'000, 'x') + std::string(300'000, 'y');
  const test::Answer whole = serve({.body = body});
  /// The first half, then nothing.
  const test::Answer half = serve({.body = body, .cut_after = 300'000, .stall_after_cut = true});
};
using DownloadCli = CacheCli;

}  // namespace

TEST_F(CacheCli, FetchListClear) {
  HttpServer server({whole});
  const std::string url = server.url("net.pkl");
  RunResult result = run({"cache", "fetch", url});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "Downloading " + url + " ...\n" + file_of(url).string() + "\n");
  EXPECT_TRUE(read_file(file_of(url)) == body);
  write_file(downloads / "tmp_0123456789abcdef", "left over");

  result = run({"cache", "list"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, testing::ContainsRegex("600\\.0 kB  20[0-9-]+ [0-9:]+  .*net\\.pkl\n"));
  EXPECT_THAT(result.out, HasSubstr("tmp_0123456789abcdef (unfinished)\n"));
  EXPECT_THAT(result.out, HasSubstr("2 files, 600.0 kB, in " + downloads.string()));

  result = run({"cache", "list", "--json", "net.pkl"});
  const auto list = nlohmann::json::parse(result.out);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].at("path"), file_of(url).string());
  EXPECT_EQ(list[0].at("size"), 600'000);

  result = run({"cache", "clear", "--dry-run"});
  EXPECT_THAT(result.out, HasSubstr("Would remove tmp_0123456789abcdef (unfinished)\n"));
  EXPECT_EQ(names().size(), 2u);
  result = run({"cache", "clear", "*.pkl"});
  EXPECT_THAT(result.out, HasSubstr("1 file, 600.0 kB"));
  EXPECT_THAT(names(), ElementsAre("tmp_0123456789abcdef"));
  result = run({"cache", "clear"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(names().empty());
  EXPECT_THAT(run({"cache", "clear"}).out, HasSubstr("0 files, 0 bytes"));
}

TEST_F(CacheCli, FetchesPresets) {
  RunResult result = run({"cache", "fetch", "demo"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              testing::ContainsRegex("demo-emoji32\\.pkl\n.*demo-emoji32-guide\\.pkl\n"));
  expect_error(run({"cache", "fetch", "--offline", "edm2-img512-s-guid-fid"}), 1,
               "edm2-img512-s-2147483-0.025.pkl is not in the cache");
}

TEST_F(CacheCli, WrongUsage) {
  expect_error(run({"cache", "fetch"}), 2, "SOURCE");
  expect_error(run({"cache", "fetch", "nonsense"}), 1, "'nonsense' is neither");
  expect_error(run({"cache", "list", "--offline"}), 2, "No such option '--offline'");
  EXPECT_EQ(run({"cache"}).exit_code, 2);
}

TEST_F(DownloadCli, KilledInTheMiddleAndResumed) {
  HttpServer server({half, whole});
  const std::string url = server.url("net.pkl");
  const RunResult killed = shell("\"$edm2\" cache fetch " + url + " & while ! [ -e " +
                                 notes_of(url) + " ]; do sleep 0.02; done; kill -9 $!; wait $!");
  EXPECT_EQ(killed.exit_code, 128 + 9);
  EXPECT_FALSE(fs::exists(file_of(url)));
  EXPECT_THAT(run({"cache", "list"}).out, HasSubstr(url + " (unfinished)"));
  const RunResult resumed = run({"cache", "fetch", url});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(server.requests().at(1).headers.at("range"), "bytes=300000-");
  EXPECT_TRUE(read_file(file_of(url)) == body);
  EXPECT_THAT(names(), ElementsAre(file_of(url).filename().string()));
}

TEST_F(DownloadCli, InterruptedAndResumed) {
  HttpServer server({half, whole});
  const std::string url = server.url("net.pkl"),
                    part = notes_of(url).substr(0, notes_of(url).size() - 5) + ".part";
  const RunResult interrupted = shell("\"$edm2\" cache fetch " + url + " & while ! [ -s " + part +
                                      " ]; do sleep 0.02; done; sleep 0.1; kill -TERM $!; wait $!");
  EXPECT_EQ(interrupted.exit_code, 128 + 15);
  EXPECT_THAT(interrupted.err, HasSubstr("Interrupted."));
  EXPECT_TRUE(fs::exists(notes_of(url)));
  EXPECT_EQ(run({"cache", "fetch", url}).exit_code, 0);
  EXPECT_TRUE(server.requests().at(1).has("range"));
  EXPECT_TRUE(read_file(file_of(url)) == body);
}

TEST_F(DownloadCli, InterruptedInAPause) {
  HttpServer server({test::status(503)});
  const std::string log = dir / "log";
  const RunResult result = shell("\"$edm2\" cache fetch " + server.url("net.pkl") + " > " + log +
                                 " & while ! grep -q 'attempt 4' " + log +
                                 "; do sleep 0.05; done; kill -TERM $!; wait $!");
  EXPECT_EQ(result.exit_code, 128 + 15);
  EXPECT_EQ(server.count(), 3u);
  EXPECT_TRUE(names().empty());
}

TEST_F(DownloadCli, FullDisk) {
  HttpServer server({whole});
  const std::string url = server.url("net.pkl");
  expect_error(shell("ulimit -f 400; exec \"$edm2\" cache fetch " + url), 1,
               "make room there or choose another --cache-dir");
  EXPECT_FALSE(fs::exists(file_of(url)));
  // What fits is not lost.
  EXPECT_EQ(run({"cache", "fetch", url}).exit_code, 0);
  EXPECT_TRUE(server.requests().at(1).has("range"));
  EXPECT_TRUE(read_file(file_of(url)) == body);
}

TEST_F(DownloadCli, TwoProcessesDownloadOnce) {
  const auto slow = [this](const test::ServerRequest& request, test::ServerConnection& connection) {
    std::this_thread::sleep_for(std::chrono::milliseconds(800));
    whole(request, connection);
  };
  HttpServer server({slow});
  const std::string url = server.url("net.pkl");
  RunResult first, second;
  std::thread thread([&] { first = run({"cache", "fetch", url}); });
  second = run({"cache", "fetch", url});
  thread.join();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(server.count(), 1u);
  EXPECT_TRUE(read_file(file_of(url)) == body);
  EXPECT_THAT(names(), ElementsAre(file_of(url).filename().string()));
}

TEST_F(DownloadCli, TakesOverFromAProcessThatWasKilled) {
  HttpServer server({half, whole});
  const std::string url = server.url("net.pkl"), log = dir / "log";
  const RunResult result =
      shell("\"$edm2\" cache fetch " + url + " & first=$!; while ! [ -e " + notes_of(url) +
            " ]; do sleep 0.02; done; \"$edm2\" cache fetch " + url + " > " + log +
            " & while ! grep -q 'Waiting for another process' " + log +
            "; do sleep 0.02; done; kill -9 $first; wait $!");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(server.requests().at(1).headers.at("range"), "bytes=300000-");
  EXPECT_TRUE(read_file(file_of(url)) == body);
}

TEST_F(DownloadCli, NetworksByTheirAddress) {
  save_snapshot(dir / "net.pkl", test::small_snapshot(0), SnapshotFormat::pickle);
  const std::string net = read_file(dir / "net.pkl");
  HttpServer server({serve({.body = net, .cut_after = net.size() / 2}), serve({.body = net})});
  const std::string url = server.url("net.pkl");
  const Words words = {"generate", "--no-metadata", "--steps=2", "--seeds=1", "--outdir"};
  const auto generate = [&](const std::string& outdir, const Words& more) {
    Words all = words;
    all.push_back(dir / outdir);
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const RunResult downloaded = generate("a", {"--net", url, "--gnet", url, "--guidance=2"});
  EXPECT_EQ(downloaded.exit_code, 0) << downloaded.err;
  EXPECT_THAT(downloaded.out, HasSubstr("Loading guiding network from " + url));
  EXPECT_EQ(server.count(), 2u);
  EXPECT_EQ(generate("b", {"--net", url, "--offline", "--gnet",
                           "file://" + (dir / "net.pkl").string(), "--guidance=2"})
                .exit_code,
            0);
  EXPECT_EQ(generate("c", {"--net", dir / "net.pkl", "--gnet", dir / "net.pkl", "--guidance=2"})
                .exit_code,
            0);
  const std::string picture = read_file(dir / "a" / "000001.png");
  EXPECT_FALSE(picture.empty());
  EXPECT_EQ(read_file(dir / "b" / "000001.png"), picture);
  EXPECT_EQ(read_file(dir / "c" / "000001.png"), picture);
  // Another cache knows nothing of it.
  expect_error(generate("d", {"--net", url, "--offline", "--cache-dir", dir / "other"}), 1,
               "is not in the cache " + (dir / "other").string());
  expect_error(generate("d", {"--preset=edm2-img64-s-fid", "--offline"}), 1, "--offline");
  EXPECT_FALSE(fs::exists(dir / "d"));
}

TEST_F(DownloadCli, OneOfSeveralProcessesDownloads) {
  save_snapshot(dir / "net.pkl", test::small_snapshot(0), SnapshotFormat::pickle);
  HttpServer server({serve({.body = read_file(dir / "net.pkl")})});
  const RunResult result = run({"generate", "--nproc=2", "--net", server.url("net.pkl"),
                                "--steps=2", "--seeds=0-3", "--batch=1", "--outdir", dir / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(server.count(), 1u);
  EXPECT_TRUE(fs::exists(dir / "out" / "000003.png"));
}

TEST_F(DownloadCli, DatasetsByTheirAddress) {
  // Servers hide the extension behind a question mark.
  HttpServer server({serve({.body = read_file(test::data_dir() / "stored_and_deflated.zip")})});
  const std::string url = server.url("data.zip?download=1");
  expect_error(run({"dataset", "convert", "--source", url, "--dest", dir / "out.zip"}), 1,
               "there are no pictures in '" + file_of(url).string());
  expect_error(run({"train", "--data", url, "--outdir", dir / "out", "--offline"}), 1,
               "No image files found");
  expect_error(run({"train", "--data", server.url("b.zip"), "--outdir", dir / "out", "--offline"}),
               1, "is not in the cache");
  EXPECT_EQ(server.count(), 1u);
}

TEST_F(DownloadCli, FilesThatAreNoNetworks) {
  // A login page in place of the file, and a server that announces too little: by HTTP's rules the
  // file ends there, but it is no network.
  save_snapshot(dir / "net.pkl", test::small_snapshot(0), SnapshotFormat::pickle);
  HttpServer server({serve({.body = "<html>Please log in</html>"}),
                     serve({.body = read_file(dir / "net.pkl"), .length = "10000"})});
  for (const char* name : {"page", "short"}) {
    const std::string url = server.url(name);
    expect_error(run({"generate", "--net", url, "--outdir", dir / "out"}), 1,
                 "edm2 cache clear " + file_of(url).filename().string());
    EXPECT_EQ(run({"cache", "clear", url}).exit_code, 0);
    EXPECT_FALSE(fs::exists(file_of(url)));
  }
}

TEST_F(DownloadCli, ErrorsAreOneSentence) {
  HttpServer missing({test::status(404)});
  const std::string url = missing.url("net.pkl");
  expect_error(run({"generate", "--net", url, "--outdir", dir / "out"}), 1,
               "cannot download " + url + ": the server answers with HTTP status 404");
  expect_error(run({"generate", "--net=ftp://host/net.pkl", "--outdir", dir / "out"}), 1, "ftp://");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

}  // namespace edm2
