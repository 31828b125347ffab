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
