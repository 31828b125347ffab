// Sources that need no download, and what may go wrong in downloads.
#include "edm2/io/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <rapidcheck.h>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/io/download_cache.h"
#include "support/checks.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using test::HttpServer;
using test::read_file;
using test::redirect;
using test::serve;
using test::ServedFile;
using test::status;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

std::string make_body(size_t size, uint32_t seed = 1) {
  std::string body(size, '\0');
  for (char& c : body) {
    seed = seed * 1664525u + 1013904223u;
    c = static_cast<char>(seed >> 24);
  }
  return body;
}

const std::string body = make_body(200'000);

class Source : public testing::Test {
 protected:
  Source() {
    options.cache_dir = dir / "cache";
    options.first_pause = milliseconds(1);
    options.longest_pause = milliseconds(4);
    options.stall_timeout = milliseconds(400);
    options.attempts = 4;
    for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) unsetenv(name);
  }

  fs::path get(const std::string& source) { return resolve_source(source, options, progress); }
  std::string failure(const std::string& source) {
    try {
      return "no error: " + get(source).string();
    } catch (const Error& error) {
      return error.what();
    }
  }
  fs::path downloads() const { return *options.cache_dir / "downloads"; }
  fs::path expected_file(const std::string& url) const {
    return downloads() / cached_file_name(url, "");
  }
  /// The download works, the file is whole, and nothing else is in the cache.
  void expect_whole(const std::string& url, const std::string& contents = body) {
    const fs::path file = get(url);
    EXPECT_EQ(file, expected_file(url));
    EXPECT_TRUE(read_file(file) == contents) << read_file(file).size() << " bytes";
    EXPECT_THAT(test::names_in(downloads()), ElementsAre(file.filename().string()));
  }
  /// One sentence with that text, and no file that anybody could take for whole.
  void expect_failure(const std::string& url, const std::string& text) {
    EXPECT_THAT(failure(url), AllOf(StartsWith("cannot download " + url), HasSubstr(text)));
    EXPECT_FALSE(find_cached(url, options));
    EXPECT_THAT(test::names_in(downloads()), Not(testing::Contains(StartsWith(md5_hex(url)))));
  }

  test::TempDir dir;
  FetchOptions options;
  test::RecordingProgress progress;
};
using SourceProperty = Source;

/// The file, but the connection ends after so many bytes of the body.
test::Answer cut(size_t bytes) { return serve({.body = body, .cut_after = bytes}); }
test::Answer whole() { return serve({.body = body}); }

}  // namespace

TEST_F(Source, PathsStayAsTheyAre) {
  for (const char* path : {"a.pkl", "/a b/c.pkl", "C://x", "HTTP://x", "", "1http://x", "../x://"})
    EXPECT_EQ(get(path), fs::path(path));
}

TEST_F(Source, FileAddresses) {
  write_file(dir / "a b.pkl", "x");
  const std::string folder = dir.path().string();
  EXPECT_EQ(get("file://" + folder + "/net.pkl"), dir / "net.pkl");
  EXPECT_EQ(get("file://localhost" + folder + "/net.pkl"), dir / "net.pkl");
  EXPECT_EQ(get("file://" + folder + "/a b.pkl"), dir / "a b.pkl");
  EXPECT_EQ(get("file://" + folder + "/a%20b.pkl"), dir / "a b.pkl");
  EXPECT_EQ(get("file://" + folder + "/100%.pkl"), dir / "100%.pkl");
  EXPECT_THAT(failure("file://server/net.pkl"), HasSubstr("three slashes"));
  EXPECT_THAT(failure("file://net.pkl"), HasSubstr("three slashes"));
}

TEST_F(Source, NamedAndResolved) {
  write_file(dir / "net.pkl", "x");
  const NamedSource path = dir / "net.pkl", address = "file://" + (dir / "net.pkl").string(),
                    web = "https://me:secret@host/net.pkl";
  EXPECT_EQ(path.kind(), SourceKind::path);
  EXPECT_EQ(address.kind(), SourceKind::file_address);
  EXPECT_EQ(web.kind(), SourceKind::web_address);
  EXPECT_EQ(NamedSource("bundled:demo.pkl").kind(), SourceKind::bundled);
  EXPECT_EQ(web.shown(), "https://host/net.pkl");
  EXPECT_TRUE(NamedSource().empty());

  const NamedSource resolved = address.resolved(options, progress), copy = resolved;
  EXPECT_EQ(resolved.file(), dir / "net.pkl");
  EXPECT_EQ(resolved.text(), address.text());
  EXPECT_FALSE(address.is_resolved());
  EXPECT_THROW(address.file(), c10::Error);
  const std::string digest = sha256_of_file(dir / "net.pkl");
  EXPECT_EQ(copy.sha256(), digest);
  write_file(dir / "net.pkl", "y");
  EXPECT_EQ(resolved.resolved(options, progress).sha256(), digest);  // known since then
  EXPECT_NE(address.resolved(options, progress).sha256(), digest);   // looks anew
}

TEST_F(Source, OtherAddressesAreRefused) {
  EXPECT_THAT(failure("ftp://host/net.pkl"), HasSubstr("not ftp://"));
  EXPECT_THAT(failure("gs://bucket/net.pkl"), HasSubstr("not gs://"));
  for (const char* url : {"http://", "https:///net.pkl", "http://:80/", "http://a b/", "http://?x"})
    EXPECT_THAT(failure(url), HasSubstr("not an address of the web")) << url;
  EXPECT_THAT(failure("http://a:x/"), HasSubstr("not an address of the web"));
  EXPECT_FALSE(fs::exists(expected_file("http://a:x/")));
}

TEST_F(Source, DownloadsOnce) {
  HttpServer server({whole()});
  const std::string url = server.url("net.pkl");
  expect_whole(url);
  expect_whole(url);
  EXPECT_EQ(server.count(), 1u);
  EXPECT_FALSE(server.requests()[0].has("range"));
  EXPECT_EQ(server.requests()[0].headers.at("accept-encoding"), "identity");
  EXPECT_EQ(progress.unit, "byte");
  EXPECT_EQ(progress.total, 200'000);
  EXPECT_EQ(progress.done, 200'000);
}

TEST_F(Source, SmallFiles) {
  HttpServer server({serve({.body = "x"})});
  expect_whole(server.url("x"), "x");
}

TEST_F(Source, ResumesWhereTheConnectionBrokeOff) {
  HttpServer server({cut(120'000), whole()});
  expect_whole(server.url("net.pkl"));
  ASSERT_EQ(server.count(), 2u);
  EXPECT_EQ(server.requests()[1].headers.at("range"), "bytes=120000-");
  EXPECT_EQ(server.requests()[1].headers.at("if-range"), "\"v1\"");
  EXPECT_EQ(progress.total, 80'000);
}

TEST_F(Source, ResumesAgainAndAgain) {
  options.attempts = 7;
  HttpServer server({cut(30'000)});
  expect_whole(server.url("net.pkl"));
  EXPECT_EQ(server.count(), 7u);
}

TEST_F(Source, AttemptsThatGetFarDoNotCount) {
  options.attempts = 2;
  const std::string large = make_body(size_t{5} << 20);
  HttpServer server({serve({.body = large, .cut_after = (size_t{1} << 20) + 1})});
  expect_whole(server.url("net.pkl"), large);
  EXPECT_EQ(server.count(), 5u);
}

TEST_F(Source, SurvivesAResetConnection) {
  const auto reset = [](const test::ServerRequest& request, test::ServerConnection& connection) {
    cut(90'000)(request, connection);
    connection.reset();
  };
  HttpServer server({reset, reset, whole()});
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, ConnectionClosedWithoutAnAnswer) {
  const auto nothing = [](const test::ServerRequest&, test::ServerConnection&) {};
  HttpServer server({nothing, nothing, whole()});
  expect_whole(server.url("net.pkl"));
  HttpServer mute({nothing});
  expect_failure(mute.url("net.pkl"), "without an answer (after 4 attempts)");
}

TEST_F(Source, LongerThanTheServerHasIt) {
  HttpServer server({serve({.body = body, .length = "300000"})});
  expect_failure(server.url("net.pkl"), "(after 4 attempts)");
  HttpServer stateless({serve({.body = body, .etag = "", .length = "300000"})});
  expect_failure(stateless.url("net.pkl"), "the connection broke off (after 4 attempts)");
  EXPECT_THAT(test::names_in(downloads()), Not(testing::Contains(HasSubstr(".part"))));
}

TEST_F(Source, WrongLengthThenTheRightOne) {
  HttpServer server({serve({.body = body, .length = "300000"}), whole(), whole()});
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, LengthThatIsNoNumber) {
  HttpServer server({serve({.body = body, .length = "many"})});
  expect_failure(server.url("net.pkl"), "(after 4 attempts)");
}

TEST_F(Source, WithoutLengthNobodyKnowsWhetherItIsWhole) {
  HttpServer server({serve({.body = body, .length = "", .cut_after = 100})});
  expect_failure(server.url("net.pkl"), "does not tell the file's length");
  EXPECT_EQ(server.count(), 1u);
}

TEST_F(Source, Chunks) {
  HttpServer server({serve({.body = body, .chunked = true})});
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, ChunksThatBreakOff) {
  HttpServer server({serve({.body = body, .cut_after = 150'000, .chunked = true}),
                     serve({.body = body, .chunked = true})});
  expect_whole(server.url("net.pkl"));
  ASSERT_EQ(server.count(), 2u);
  EXPECT_TRUE(server.requests()[1].has("range"));
  HttpServer broken(
      {serve({.body = body, .ranges = false, .cut_after = 150'000, .chunked = true})});
  expect_failure(broken.url("net.pkl"), "broke off (after 4 attempts)");
}

TEST_F(Source, EmptyFiles) {
  HttpServer server({serve({.body = ""}), serve({.body = "", .chunked = true}), whole()});
  expect_whole(server.url("net.pkl"));
  HttpServer empty({serve({.body = ""})});
  expect_failure(empty.url("net.pkl"), "empty file (after 4 attempts)");
  EXPECT_EQ(empty.count(), 4u);
}

TEST_F(Source, StatusesThatAttemptsDoNotMend) {
  for (const int code : {400, 401, 403, 404, 410, 204, 300}) {
    HttpServer server({status(code)});
    expect_failure(server.url("net.pkl"), "HTTP status " + std::to_string(code));
    EXPECT_EQ(server.count(), 1u) << code;
  }
}

TEST_F(Source, StatusesThatPass) {
  HttpServer server({status(503), status(500), status(429), whole()});
  expect_whole(server.url("net.pkl"));
  EXPECT_THAT(progress.messages,
              testing::Contains(HasSubstr("status 503 (the server is not available at the moment); "
                                          "attempt 2 of 4 in 0.001 s")));
  HttpServer down({status(503)});
  expect_failure(down.url("net.pkl"), "(after 4 attempts)");
  EXPECT_EQ(down.count(), 4u);
}

TEST_F(Source, TroubleInTheMiddle) {
  HttpServer server({cut(50'000), status(503), whole()});
  expect_whole(server.url("net.pkl"));
  EXPECT_EQ(server.requests()[2].headers.at("range"), "bytes=50000-");
}

TEST_F(Source, RespectsThePauseThatTheServerAsksFor) {
  options.longest_pause = milliseconds(300);
  HttpServer server({status(503, "Retry-After: 100\r\n"), whole()});
  const auto begin = std::chrono::steady_clock::now();
  expect_whole(server.url("net.pkl"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(300));
}

TEST_F(Source, NobodyListens) {
  std::string url;
  {
    HttpServer server({whole()});
    url = server.url("net.pkl");
  }
  expect_failure(url, "(after 4 attempts)");
  EXPECT_THAT(test::names_in(downloads()), IsEmpty());
}

TEST_F(Source, Redirects) {
  HttpServer elsewhere({whole()});
  HttpServer server({redirect(elsewhere.url("other")), status(404)});
  expect_whole(server.url("net.pkl"));
  HttpServer relative({redirect("/other.pkl"), whole()});
  fs::remove_all(downloads());
  expect_whole(relative.url("net.pkl"));
  EXPECT_EQ(relative.requests()[1].target, "/other.pkl");
}

TEST_F(Source, RedirectsThatLeadNowhere) {
  HttpServer loop({redirect("/again")});
  expect_failure(loop.url("net.pkl"), "redirects more than 10 times");
  EXPECT_EQ(loop.count(), 11u);
  write_file(dir / "secret", "x");
  HttpServer local({redirect("file://" + (dir / "secret").string())});
  expect_failure(local.url("net.pkl"), "neither http:// nor https://");
  EXPECT_EQ(local.count(), 1u);
  HttpServer nowhere({redirect("http://:x/")});
  expect_failure(nowhere.url("net.pkl"), "not an address of the web");
}

TEST_F(Source, ServerThatKnowsNoRanges) {
  HttpServer server({serve({.body = body, .ranges = false, .cut_after = 70'000}),
                     serve({.body = body, .ranges = false})});
  expect_whole(server.url("net.pkl"));
  EXPECT_TRUE(server.requests()[1].has("range"));
}

TEST_F(Source, FileThatChangesMeanwhile) {
  const std::string newer = make_body(210'000, 2);
  HttpServer server({cut(120'000), serve({.body = newer, .etag = "\"v2\""})});
  expect_whole(server.url("net.pkl"), newer);
}

TEST_F(Source, FileThatChangesMeanwhileOnACarelessServer) {
  // Answers the range of the new file whatever If-Range says.
  const std::string newer = make_body(200'000, 2);
  const auto careless = [&](const test::ServerRequest& request,
                            test::ServerConnection& connection) {
    test::ServerRequest changed = request;
    changed.headers.erase("if-range");
    serve({.body = newer, .etag = "\"v2\""})(changed, connection);
  };
  HttpServer server({cut(120'000), careless});
  expect_whole(server.url("net.pkl"), newer);
  ASSERT_EQ(server.count(), 3u);
  EXPECT_FALSE(server.requests()[2].has("range"));
}

TEST_F(Source, RangeThatBeginsElsewhere) {
  const auto wrong = [](const test::ServerRequest&, test::ServerConnection& connection) {
    connection.send(
        "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes 100-199999/200000\r\n"
        "Content-Length: 199900\r\nConnection: close\r\n\r\n");
    connection.send(body.substr(100));
  };
  HttpServer server({cut(120'000), wrong, whole()});
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, RangeOfAnotherLength) {
  const auto wrong = [](const std::string& range, const std::string& length) {
    return [=](const test::ServerRequest&, test::ServerConnection& connection) {
      connection.send("HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes " +
                      range + "\r\nContent-Length: " + length + "\r\nConnection: close\r\n\r\n");
      connection.send(make_body(500'000));
    };
  };
  HttpServer server({cut(120'000), wrong("120000-199999/*", "500000"),  // contradicts the first
                     cut(120'000), wrong("120000-199999/200000", "500000"),  // and itself
                     cut(120'000), wrong("120000-100/110000", "500000"), whole()});
  options.attempts = 10;
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, OnlyGoodValidatorsAreUsed) {
  const auto second_request = [&](ServedFile file) {
    ServedFile first = file;
    first.cut_after = 100'000;
    HttpServer server({serve(first), serve(file)});
    expect_whole(server.url("net.pkl"));
    fs::remove_all(downloads());
    return server.requests().at(1);
  };
  const std::string modified = "Last-Modified: Wed, 01 Jan 2025 10:00:00 GMT\r\n";
  const std::string later = "Date: Wed, 01 Jan 2025 10:00:07 GMT\r\n";
  const std::string same = "Date: Wed, 01 Jan 2025 10:00:00 GMT\r\n";
  EXPECT_FALSE(second_request({.body = body, .etag = ""}).has("range"));
  EXPECT_FALSE(second_request({.body = body, .etag = "W/\"weak\""}).has("range"));
  EXPECT_FALSE(second_request({.body = body, .etag = "", .headers = modified}).has("range"));
  EXPECT_FALSE(second_request({.body = body, .etag = "", .headers = modified + same}).has("range"));
  EXPECT_EQ(
      second_request({.body = body, .etag = "", .headers = modified + later}).headers["if-range"],
      "Wed, 01 Jan 2025 10:00:00 GMT");
}

TEST_F(Source, StalledServer) {
  const auto silent = [](const test::ServerRequest&, test::ServerConnection& connection) {
    connection.stall();
  };
  HttpServer server(
      {silent, serve({.body = body, .cut_after = 100'000, .stall_after_cut = true}), whole()});
  expect_whole(server.url("net.pkl"));
  EXPECT_EQ(server.requests().at(2).headers.at("range"), "bytes=100000-");
  options.attempts = 1;
  HttpServer stalled({silent});
  expect_failure(stalled.url("net.pkl"), "does not answer or sends too slowly (after 1 attempt)");
}

TEST_F(Source, CompressedTransfersAreRefused) {
  HttpServer server({serve({.body = body, .headers = "Content-Encoding: gzip\r\n"})});
  expect_failure(server.url("net.pkl"), "compressed");
}

TEST_F(Source, FilesLargerThanTheDisk) {
  HttpServer server({serve({.body = body, .length = "4000000000000000000"})});
  expect_failure(server.url("net.pkl"), "of free space; make room there");
  EXPECT_EQ(server.count(), 1u);
}

TEST_F(Source, NamesFromTheServerStayInTheFolder) {
  HttpServer server(
      {serve({.body = body,
              .headers = "Content-Disposition: attachment; filename=\"../../é net.pkl\"\r\n"})});
  const std::string url = server.url("net.pkl?id=1");
  const fs::path file = get(url);
  EXPECT_EQ(file, downloads() / (md5_hex(url) + "_.._..____net.pkl"));
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(Source, PasswordsAreUsedButNotShown) {
  HttpServer server({cut(100'000), status(404), whole()});
  const std::string url = "http://me:secret@" + server.address().substr(7) + "/net.pkl";
  EXPECT_THAT(failure(url), AllOf(HasSubstr("404"), Not(HasSubstr("secret"))));
  EXPECT_THAT(read_file(downloads() / ("tmp_" + md5_hex(url) + ".json")),
              AllOf(HasSubstr("net.pkl"), Not(HasSubstr("secret"))));
  const fs::path file = get(url);
  EXPECT_TRUE(read_file(file) == body);
  EXPECT_TRUE(server.requests()[2].has("authorization"));
  EXPECT_TRUE(server.requests()[2].has("range"));
  EXPECT_THAT(file.string(), Not(HasSubstr("secret")));
  EXPECT_THAT(progress.messages, Not(testing::Contains(HasSubstr("secret"))));
  EXPECT_EQ(without_password("https://a:b@c/d@e"), "https://c/d@e");
  EXPECT_EQ(without_password("https://c/d@e"), "https://c/d@e");
  EXPECT_EQ(without_password("a@b"), "a@b");
}

TEST_F(Source, ProxiesOfTheEnvironment) {
  HttpServer proxy({whole()});
  setenv("http_proxy", proxy.address().c_str(), 1);
  const std::string url = "http://no-such-host.invalid/net.pkl";
  expect_whole(url);
  unsetenv("http_proxy");
  EXPECT_EQ(proxy.requests()[0].target, url);
}

TEST_F(Source, Offline) {
  HttpServer server({whole()});
  const std::string url = server.url("net.pkl");
  options.offline = true;
  EXPECT_THAT(failure(url), AllOf(HasSubstr("is not in the cache"), HasSubstr("--offline")));
  EXPECT_EQ(server.count(), 0u);
  EXPECT_FALSE(fs::exists(*options.cache_dir));
  options.offline = false;
  get(url);
  options.offline = true;
  expect_whole(url);
  EXPECT_EQ(server.count(), 1u);
}

TEST_F(Source, CacheThatCannotBeWritten) {
  HttpServer server({whole()});
  options.cache_dir = "/proc/edm2";
  EXPECT_THAT(failure(server.url("net.pkl")), HasSubstr("choose another --cache-dir"));
  write_file(dir / "file", "x");
  options.cache_dir = dir / "file";
  EXPECT_THAT(failure(server.url("net.pkl")), HasSubstr("choose another --cache-dir"));
}

TEST_F(Source, SeveralFilesOfOneAddressAreReplaced) {
  HttpServer server({whole()});
  const std::string url = server.url("net.pkl");
  fs::create_directories(downloads());
  write_file(downloads() / (md5_hex(url) + "_one"), "1");
  EXPECT_EQ(get(url), downloads() / (md5_hex(url) + "_one"));
  write_file(downloads() / (md5_hex(url) + "_two"), "2");
  expect_whole(url);
}

TEST_F(Source, EmptyFilesInTheCacheDoNotCount) {
  HttpServer server({whole()});
  fs::create_directories(downloads());
  write_file(expected_file(server.url("net.pkl")), "");
  expect_whole(server.url("net.pkl"));
}

TEST_F(Source, TwoAtOnceDownloadOnce) {
  const auto slow = [](const test::ServerRequest& request, test::ServerConnection& connection) {
    std::this_thread::sleep_for(milliseconds(250));
    whole()(request, connection);
  };
  HttpServer server({slow});
  const std::string url = server.url("net.pkl");
  test::RecordingProgress other_progress;
  fs::path other;
  std::thread thread([&] { other = resolve_source(url, options, other_progress); });
  expect_whole(url);
  thread.join();
  EXPECT_EQ(other, expected_file(url));
  EXPECT_EQ(server.count(), 1u);
  const auto& waiting = progress.messages[0].starts_with("Waiting") ? progress : other_progress;
  EXPECT_THAT(waiting.messages, ElementsAre("Waiting for another process that downloads " + url));
}

TEST_F(Source, TakesOverWhatAnotherProcessLeft) {
  HttpServer server({whole()});
  const std::string url = server.url("net.pkl"), stem = "tmp_" + md5_hex(url);
  using nlohmann::json;
  const auto leave = [&](size_t size, const json& changes) {
    fs::remove_all(downloads());
    fs::create_directories(downloads());
    write_file(downloads() / (stem + ".part"), body.substr(0, size) + "garbage after a crash");
    json notes = {{"url", url},        {"name", cached_file_name(url, "")},
                  {"etag", "\"v1\""},  {"last_modified", ""},
                  {"length", 200'000}, {"synced", size}};
    notes.update(changes);
    write_file(downloads() / (stem + ".json"), notes.dump());
  };
  leave(150'000, json::object());
  expect_whole(url);
  EXPECT_EQ(server.requests().at(0).headers.at("range"), "bytes=150000-");
  leave(200'000, json::object());  // killed before the file got its name
  expect_whole(url);
  EXPECT_EQ(server.count(), 1u);
  // What cannot be trusted is downloaded again.
  const json doubtful[] = {
      {{"url", "http://other"}}, {{"synced", 1'000'000'000}},
      {{"synced", -1}},          {{"length", 100}},
      {{"name", "../../name"}},  {{"etag", 5}},
      {{"synced", "a"}},         {{"etag", ""}},
      {{"length", "x"}},         {{"name", "tmp_/../name"}},
  };
  size_t requests = 1;
  for (const auto& changes : doubtful) {
    leave(150'000, changes);
    expect_whole(url);
    ASSERT_EQ(server.count(), ++requests) << changes;
    EXPECT_FALSE(server.requests().back().has("range")) << changes;
  }
  leave(150'000, json::object());
  write_file(downloads() / (stem + ".json"), "{ no JSON");
  expect_whole(url);
  EXPECT_FALSE(server.requests().back().has("range"));
}

TEST_F(SourceProperty, AnySequenceOfFaultsEndsWhole) {
  const auto check = [&] {
    fs::remove_all(downloads());
    const auto faults = *rc::gen::resize(
        6, rc::gen::container<std::vector<int>>(rc::gen::resize(100, rc::gen::inRange(0, 9))));
    const std::string older = make_body(150'000, 3);
    const auto where = *rc::gen::inRange<size_t>(1, body.size());
    const std::vector<test::Answer> kinds = {
        cut(where),
        cut(0),
        status(503),
        serve({.body = body, .cut_after = where, .chunked = true}),
        serve({.body = ""}),
        serve({.body = body, .ranges = false, .cut_after = where}),
        serve({.body = older, .etag = "\"v0\"", .cut_after = where / 2}),
        serve({.body = body, .length = std::to_string(body.size() + where)}),
        serve({.body = body, .etag = "", .cut_after = where}),
    };
    std::vector<test::Answer> answers;
    for (const int fault : faults) answers.push_back(kinds[static_cast<size_t>(fault)]);
    answers.push_back(whole());
    HttpServer server(answers);
    options.attempts = static_cast<int>(answers.size()) + 3;
    options.first_pause = options.longest_pause = milliseconds(0);
    const std::string url = server.url("net.pkl");
    const std::string result = read_file(resolve_source(url, options, progress));
    const bool is_whole = result == body || result == older;
    RC_ASSERT(is_whole);
    RC_ASSERT(test::names_in(downloads()).size() == 1u);
  };
  EXPECT_TRUE(rc::check(check));
}

}  // namespace edm2
