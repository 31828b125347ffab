#include "edm2/metrics/metrics.h"

#include <gtest/gtest.h>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

std::string names(const std::string& text) {
  std::string result;
  for (const Metric& metric : parse_metric_list(text)) result += metric.name + ";";
  return result;
}

std::string error_of(const std::string& text) {
  try {
    parse_metric_list(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(MetricList, KeepsOrderAndDuplicates) {
  EXPECT_EQ(names("fid,fd_dinov2"), "fid;fd_dinov2;");
  EXPECT_EQ(names("fd_dinov2,fid,fid"), "fd_dinov2;fid;fid;");
  EXPECT_EQ(names("kid,is,coverage_dinov2"), "kid;is;coverage_dinov2;");
}

TEST(MetricList, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(error_of("fid,Fid").rfind("Invalid metric \"Fid\"", 0), 0u);
  EXPECT_EQ(error_of("fid, fd_dinov2").rfind("Invalid metric \" fd_dinov2\"", 0), 0u);
  EXPECT_EQ(error_of("fid,").rfind("Invalid metric \"\"", 0), 0u);
  EXPECT_EQ(error_of("").rfind("Invalid metric \"\"", 0), 0u);
}

TEST(MetricList, SaysWhatAMetricNeeds) {
  EXPECT_FALSE(parse_metric_list("fid")[0].needs_reference_features());
  EXPECT_FALSE(parse_metric_list("is")[0].needs_reference_features());
  EXPECT_TRUE(parse_metric_list("recall_dinov2")[0].needs_reference_features());
  EXPECT_EQ(statistics_name(parse_metric_list("kd_dinov2")[0].detector), "fd_dinov2");
}

}  // namespace edm2
