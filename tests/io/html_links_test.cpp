#include "io/html_links.h"

#include <gtest/gtest.h>

namespace edm2 {

using Names = std::vector<std::string>;

TEST(HtmlLinks, FilesOfListingsOfSeveralServers) {
  const std::string folder = "https://host.example/data/run/";
  // Apache and nginx.
  EXPECT_EQ(linked_files(R"(<a href="?C=N;O=D">Name</a> <a href="../">up</a> <a href="/data/">p</a>
      <a href="a-1-0.05.pkl">a</a><a href="sub/">s</a> <A HREF = 'b%20c.pkl'>b</A>)",
                         folder),
            (Names{"a-1-0.05.pkl", "b c.pkl"}));
  // Absolute paths and addresses; the same link twice (icon and name).
  EXPECT_EQ(linked_files(R"(<a href=/data/run/x.pkl><img></a><a href="/data/run/x.pkl">x</a>
      <a href="https://host.example/data/run/y&amp;z.pkl">y</a><a href="./w.pkl">)",
                         folder),
            (Names{"x.pkl", "y&z.pkl", "w.pkl"}));
}

/// The links of one listing each, as the servers of Debian 12 write them for files with odd names.
TEST(HtmlLinks, ListingsOfFiveServers) {
  const Names odd = {"a b+c%&.pkl",
                     "a:b.pkl",
                     "hash#q.pkl",
                     "it's (1) [x].pkl",
                     "n-0000008-0.050.pkl",
                     "quest?ion.pkl",
                     "semi;colon,eq=at@dollar$.pkl",
                     "\xc3\xbc.pkl"};
  const std::pair<const char*, const char*> listings[] = {
      {"nginx 1.22.1",
       R"(<a href="../">../</a> <a href="sub/">sub/</a> <a href="a%20b%2Bc%25%26.pkl">a b+c%&amp;.pkl</a>
       <a href="a%3Ab.pkl">a:b.pkl</a> <a href="hash%23q.pkl">hash#q.pkl</a>
       <a href="it%27s%20%281%29%20%5Bx%5D.pkl">it's (1) [x].pkl</a>
       <a href="n-0000008-0.050.pkl">n-0000008..&gt;</a> <a href="quest%3Fion.pkl">quest?ion.pkl</a>
       <a href="semi%3Bcolon%2Ceq%3Dat%40dollar%24.pkl">semi</a> <a href="%C3%BC.pkl">u</a>)"},
      {"Apache 2.4.71",
       R"(<a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a> <a href="/">Parent Directory</a>
       <a href="a%20b+c%25&amp;.pkl">a b+c%&amp;.pkl</a> <a href="./a:b.pkl">a:b.pkl</a>
       <a href="hash%23q.pkl">hash#q.pkl</a> <a href="it's%20(1)%20%5bx%5d.pkl">it's (1) [x].pkl</a>
       <a href="n-0000008-0.050.pkl">n-0000008-0.05..&gt;</a> <a href="quest%3fion.pkl">quest?ion.pkl</a>
       <a href="semi;colon,eq=at@dollar$.pkl">semi;colon,eq=at@dol..&gt;</a>
       <a href="sub/">sub/</a> <a href="%c3%bc.pkl">u</a>)"},
      {"lighttpd 1.4.69",
       R"(<a href="../">..</a>/ <a href="sub/">sub</a>/ <a href="a%20b%2Bc%25%26.pkl">a b+c%&#x26;.pkl</a>
       <a href="a%3Ab.pkl">a:b.pkl</a> <a href="hash%23q.pkl">hash#q.pkl</a>
       <a href="it%27s%20(1)%20%5Bx%5D.pkl">it&#x27;s (1) [x].pkl</a>
       <a href="n-0000008-0.050.pkl">n</a> <a href="quest%3Fion.pkl">quest?ion.pkl</a>
       <a href="semi%3Bcolon%2Ceq%3Dat%40dollar%24.pkl">semi</a> <a href="%C3%BC.pkl">u</a>
       <script>link.setAttribute("href", "#"); var lnk = row[init_sort_column].firstChild;</script>)"},
      {"Caddy 2.6.2",
       R"(<a href="../">/</a><a href="">run</a>/ <a href="?sort=namedirfirst&order=desc"><use
       xlink:href="#up-arrow"></use></a> <a href="..">up</a> <a href="./sub/"><use xlink:href="#folder"></use></a>
       <a href="./a%20b+c%25&amp;.pkl"> <use xlink:href="#file"></use></a> <a href="./a:b.pkl"></a>
       <a href="./hash%23q.pkl"></a> <a href="./it%27s%20%281%29%20%5Bx%5D.pkl"></a>
       <a href="./n-0000008-0.050.pkl"></a> <a href="./quest%3Fion.pkl"></a>
       <a href="./semi;colon,eq=at@dollar$.pkl"></a> <a href="./%C3%BC.pkl"></a>
       <a rel="noopener noreferrer" href="https://caddyserver.com">Caddy</a>)"},
      {"http.server of Python 3.11",
       R"(<li><a href="a%20b%2Bc%25%26.pkl">a b+c%&amp;.pkl</a></li> <li><a href="a%3Ab.pkl">a:b.pkl</a></li>
       <li><a href="hash%23q.pkl">hash#q.pkl</a></li> <li><a href="it%27s%20%281%29%20%5Bx%5D.pkl">i</a></li>
       <li><a href="n-0000008-0.050.pkl">n</a></li> <li><a href="quest%3Fion.pkl">quest?ion.pkl</a></li>
       <li><a href="semi%3Bcolon%2Ceq%3Dat%40dollar%24.pkl">semi</a></li> <li><a href="sub/">sub/</a></li>
       <li><a href="%C3%BC.pkl">u</a></li>)"}};
  for (const auto& [server, listing] : listings)
    EXPECT_EQ(linked_files(listing, "http://127.0.0.1:8080/run/"), odd) << server;
}

TEST(HtmlLinks, NothingLeadsOutOfTheFolder) {
  const std::string folder = "http://host/run/";
  EXPECT_EQ(linked_files(R"(<a href="..%2f..%2fetc%2fpasswd"> <a href="%2e%2e"> <a href="">
      <a href="//elsewhere/run/a.pkl"> <a href="http://elsewhere/run/a.pkl"> <a href="/run/b/c.pkl">
      <a href="a%5cb.pkl"> <a href="c%00.pkl"> <a href="open)",
                         folder),
            Names{});
  EXPECT_EQ(linked_files("href", folder), Names{});
  EXPECT_EQ(linked_files("<a href=", folder), Names{});
}

TEST(HtmlLinks, PercentCodes) {
  EXPECT_EQ(percent_encoded("a b/\xc3\xa4-1_~.pkl"), "a%20b%2F%C3%A4-1_~.pkl");
  EXPECT_EQ(percent_decoded("a%20b%2f%C3%a4%"), "a b/\xc3\xa4%");
}

}  // namespace edm2
