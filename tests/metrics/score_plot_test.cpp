#include "edm2/metrics/score_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/checks.h"
#include "support/paths.h"

namespace edm2 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ScoreTable table_of(const std::string& text, const std::string& name = "a.csv") {
  const test::TempDir dir;
  std::filesystem::create_directories((dir / name).parent_path());
  write_file(dir / name, text);
  return load_score_table(dir / name);
}

/// The lines with a legend entry.
std::vector<plot::Series> lines_of(const plot::Axes& axes) {
  std::vector<plot::Series> lines;
  for (const plot::Layer& layer : axes.layers)
    if (const auto* series = std::get_if<plot::Series>(&layer); series && !series->label.empty())
      lines.push_back(*series);
  return lines;
}

const char* grid =
    "std,guidance,fd_dinov2,fid\n0.1,1,90,5\n0.05,1,80,4\n0.15,1,100,7\n"
    "0.1,1.5,70,3\n0.05,1.5,60,6\n0.15,1.5,,8\n";

}  // namespace

TEST(ScoreTable, IsReadWithGapsAndForeignLineEnds) {
  const ScoreTable table = table_of("\xef\xbb\xbfstd, guidance,fid\r\n0.1,1,5.5\r\n\r\n0.2,1,\r\n");
  EXPECT_THAT(table.columns, ElementsAre("std", "guidance", "fid"));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0][2], 5.5);
  EXPECT_TRUE(std::isnan(table.rows[1][2]));
  EXPECT_EQ(table.name, "a");
  EXPECT_EQ(table_of(grid, "photos/sweep.csv").name, "photos");
}

TEST(ScoreTable, OddFilesAreToldInOneSentence) {
  EXPECT_THAT(test::error_of([] { table_of("std,fid\n0.1,5\n0.2,x\n"); }),
              HasSubstr("a.csv, line 3: 'x' is no number"));
  EXPECT_THAT(test::error_of([] { table_of("std,fid\n0.1\n"); }),
              HasSubstr("line 2: there are 1 fields under 2 names"));
  EXPECT_THAT(test::error_of([] { table_of("std,fid\n"); }), HasSubstr("no lines of numbers"));
  EXPECT_THAT(test::error_of([] { load_score_table("absent.csv"); }), HasSubstr("absent.csv"));
}

TEST(ScorePlot, ALineForEachGuidanceWithItsBestPoint) {
  const plot::Figure figure = score_plot({table_of(grid)}, {.metrics = parse_metric_list("fid")});
  ASSERT_EQ(figure.axes.size(), 1u);
  EXPECT_EQ(figure.axes[0].x.label, "EMA length σ_{rel}");
  const auto lines = lines_of(figure.axes[0]);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].label, "guidance 1: best 4 at 0.05");
  EXPECT_THAT(lines[0].x, ElementsAre(0.05, 0.1, 0.15));
  EXPECT_THAT(lines[0].y, ElementsAre(4, 5, 7));
  EXPECT_EQ(lines[1].label, "guidance 1.5: best 3 at 0.1");
}

TEST(ScorePlot, OverGuidanceAndForSeveralTablesAndMetrics) {
  const auto figure =
      score_plot({table_of(grid, "a.csv"), table_of(grid, "b.csv")}, {.x = "guidance"});
  ASSERT_EQ(figure.axes.size(), 2u);  // fid comes first, as in known_metrics()
  EXPECT_EQ(figure.axes[0].y.label, "fid");
  const auto lines = lines_of(figure.axes[1]);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0].label, "a, σ_{rel} 0.05: best 60 at 1.5");
  EXPECT_EQ(lines[5].label, "b, σ_{rel} 0.15: best 100 at 1");  // the empty field is no point
  EXPECT_THAT(render_svg(figure), HasSubstr("<svg"));
}

TEST(ScorePlot, MoreIsBetterForPrecision) {
  const auto figure = score_plot({table_of("std,precision\n0.1,0.5\n0.2,0.7\n")}, {});
  EXPECT_EQ(lines_of(figure.axes[0])[0].label, "best 0.7 at 0.2");
}

TEST(ScorePlot, WhatIsMissingIsTold) {
  const auto plot = [](const ScorePlotOptions& options) {
    return test::error_of([&] { score_plot({table_of(grid)}, options); });
  };
  EXPECT_THAT(plot({.metrics = parse_metric_list("kid")}), HasSubstr("'a' has no column 'kid'"));
  EXPECT_THAT(plot({.x = "steps"}), HasSubstr("it has std, guidance, fd_dinov2, fid"));
  EXPECT_THAT(test::error_of([] { score_plot({table_of("fid\n1\n")}, {}); }),
              HasSubstr("over, such as"));
  EXPECT_THAT(test::error_of([] { score_plot({table_of("std,x\n1,2\n")}, {}); }),
              HasSubstr("no column with the name of a metric"));
  EXPECT_THAT(test::error_of([] { score_plot({table_of("std,fid\n1,\n")}, {}); }),
              HasSubstr("there are no numbers for fid"));
}

}  // namespace edm2
