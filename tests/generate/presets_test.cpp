#include "edm2/generate/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "edm2/core/error.h"
#include "edm2/io/source.h"
#include "edm2/nn/snapshot.h"
#include "support/paths.h"

namespace edm2 {
namespace {

const std::string folder = "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/";

/// Cells of the lines of a Markdown table that begin with that text.
std::vector<std::vector<std::string>> table_rows(const std::filesystem::path& page,
                                                 const std::string& begin) {
  std::vector<std::vector<std::string>> rows;
  std::ifstream file(page);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| " + begin)) continue;
    std::vector<std::string> cells;
    for (size_t start = 2, end = 0; (end = line.find(" |", start)) != std::string::npos;
         start = end + 3)
      cells.push_back(line.substr(start, end - start));
    rows.push_back(cells);
  }
  return rows;
}

int64_t parameters_of(const std::string& file) {
  const auto network = describe_published_network(folder + file);
  return network ? count_parameters(network->options) : -1;
}

}  // namespace

TEST(Presets, KnownAnswers) {
  const GeneratePreset& plain = find_generate_preset("edm2-img512-s-fid");
  EXPECT_EQ(plain.net, folder + "edm2-img512-s-2147483-0.130.pkl");
  EXPECT_FALSE(plain.gnet);
  EXPECT_EQ(plain.guidance, 1);
  const GeneratePreset& guided = find_generate_preset("edm2-img512-xxl-guid-dino");
  EXPECT_EQ(guided.net, folder + "edm2-img512-xxl-0939524-0.015.pkl");
  EXPECT_EQ(guided.gnet, folder + "edm2-img512-xs-uncond-2147483-0.015.pkl");
  EXPECT_EQ(guided.guidance, 1.7);
  EXPECT_EQ(guided.score->metric, "fd_dinov2");
  EXPECT_EQ(guided.score->value, 33.09);
  EXPECT_EQ(find_generate_preset("demo").net, "bundled:demo-emoji32.pkl");
}

TEST(Presets, UnknownNamesAreErrors) {
  try {
    find_generate_preset("nonsense");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("Invalid configuration preset \"nonsense\""));
  }
}

TEST(Presets, AreConsistent) {
  std::set<std::string> names;
  for (const GeneratePreset& preset : generate_presets()) {
    EXPECT_TRUE(names.insert(preset.name).second) << preset.name;
    EXPECT_EQ(preset.gnet.has_value(), preset.guidance != 1) << preset.name;
    if (!is_web_address(preset.net)) continue;
    // "edm2-img512-s-autog-fid": data and size as in the network's name.
    const auto net = describe_published_network(preset.net);
    ASSERT_TRUE(net) << preset.name;
    EXPECT_NE(preset.net.find(preset.name.substr(0, preset.name.find('-', 12))), std::string::npos)
        << preset.name;
    EXPECT_EQ(preset.score->metric, preset.name.ends_with("-fid") ? "fid" : "fd_dinov2");
    if (preset.gnet) {
      const auto guide = describe_published_network(*preset.gnet);
      ASSERT_TRUE(guide) << preset.name;
      EXPECT_EQ(guide->options.img_channels, net->options.img_channels) << preset.name;
      EXPECT_LE(guide->options.model_channels, net->options.model_channels) << preset.name;
      EXPECT_TRUE(guide->options.label_dim == 0 ||
                  guide->options.label_dim == net->options.label_dim);
    }
  }
  EXPECT_EQ(names.size(), 37u);
  EXPECT_EQ(published_addresses().size(), 51u);
}

TEST(Presets, NetworkSizes) {
  EXPECT_EQ(parameters_of("edm2-img512-xs-2147483-0.135.pkl"), 124713253);
  EXPECT_EQ(parameters_of("edm2-img512-s-2147483-0.130.pkl"), 280212837);
  EXPECT_EQ(parameters_of("edm2-img512-m-2147483-0.100.pkl"), 497807781);
  EXPECT_EQ(parameters_of("edm2-img512-l-1879048-0.085.pkl"), 777498085);
  EXPECT_EQ(parameters_of("edm2-img512-xl-1342177-0.085.pkl"), 1119283749);
  EXPECT_EQ(parameters_of("edm2-img512-xxl-0939524-0.070.pkl"), 1523164773);
  EXPECT_EQ(parameters_of("edm2-img512-xs-uncond-2147483-0.045.pkl"), 124201253);
  EXPECT_EQ(parameters_of("edm2-img512-s-uncond-2147483-0.070.pkl"), 279444837);
  EXPECT_EQ(parameters_of("edm2-img64-xs-0134217-0.110.pkl"), 124710949);
  EXPECT_EQ(parameters_of("edm2-img64-xl-0671088-0.040.pkl"), 1119276837);
  EXPECT_EQ(parameters_of("other.pkl"), -1);
  EXPECT_FALSE(describe_published_network("edm2-img512-xs-2147483-0.135.pkl"));
}

TEST(Presets, BundledModelsAreThere) {
  const Snapshot snapshot = load_snapshot(find_bundled_model("demo-emoji32.pkl"));
  EXPECT_EQ(snapshot.network.img_resolution, 32);
  EXPECT_THROW(find_bundled_model("none.pkl"), Error);
}

TEST(PresetsGolden, TheWholeTableOfTheOriginal) {
  const auto rows = table_rows(test::data_dir() / "reference" / "presets.md", "edm2-");
  ASSERT_EQ(rows.size(), 36u);
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 5u);
    SCOPED_TRACE(row[0]);
    const GeneratePreset& preset = find_generate_preset(row[0]);
    EXPECT_EQ(preset.net, folder + row[1]);
    EXPECT_EQ(preset.gnet.value_or("-"), row[2] == "-" ? "-" : folder + row[2]);
    EXPECT_EQ(preset.guidance, row[3] == "-" ? 1 : std::stod(row[3]));
    ASSERT_TRUE(preset.score);
    const size_t blank = row[4].find(' ');
    EXPECT_EQ(preset.score->metric, row[4].substr(0, blank));
    EXPECT_EQ(preset.score->value, std::stod(row[4].substr(blank)));
  }
}

}  // namespace edm2
