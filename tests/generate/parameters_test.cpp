#include "generate/parameters.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "edm2/io/digest.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using nlohmann::ordered_json;

class Parameters : public testing::Test {
 protected:
  void SetUp() override {
    save_snapshot(dir / "nät.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
    save_snapshot(dir / "guide.pkl", test::small_snapshot(0, 8), SnapshotFormat::pickle);
    options.net = dir / "nät.pkl";
  }
  ordered_json run() {
    Sampler sampler(options.net, "cpu", options.precision);
    sampler.options = options.sampler;
    NetworkDigests digests;
    digests["net"] = digest_of(options.net);
    if (options.gnet) digests["gnet"] = digest_of(*options.gnet);
    return run_parameters(options, sampler, digests);
  }
  static NetworkDigest digest_of(const std::string& file) {
    return {"sha256", std::async(std::launch::deferred, sha256_of_file, file)};
  }
  test::TempDir dir;
  GenerateOptions options;
};

}  // namespace

TEST_F(Parameters, SayHowAPictureWasMade) {
  options.gnet = dir / "guide.pkl";
  options.sampler.guidance = 1.5;
  options.sampler.num_steps = 7;
  options.sampler.S_churn = 3;
  options.precision = Precision::bf16;
  const std::string text = picture_parameters(run(), -5, 2);
  for (const char c : text) EXPECT_TRUE(c >= ' ' && c <= '~');
  const ordered_json json = ordered_json::parse(text);
  EXPECT_EQ(json["seed"], -5);
  EXPECT_EQ(json["class"], 2);
  EXPECT_EQ(json["version"], EDM2_VERSION);
  EXPECT_EQ(json["net"], "nät.pkl");  // no folder: that is nobody's business
  EXPECT_EQ(json["net_sha256"], sha256_of_file(dir / "nät.pkl"));
  EXPECT_EQ(json["gnet_sha256"], sha256_of_file(dir / "guide.pkl"));
  EXPECT_EQ(json["guidance"], 1.5);
  EXPECT_EQ(json["steps"], 7);
  EXPECT_EQ(json["S_churn"], 3);
  EXPECT_EQ(json["S_max"], "inf");
  EXPECT_EQ(json["precision"], "bf16");
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_FALSE(json.contains("chosen_class"));
  EXPECT_EQ(text.find(dir.path().string()), std::string::npos);
}

TEST_F(Parameters, GuideAndChurnOnlyWhereTheyWereUsed) {
  options.gnet = dir / "guide.pkl";
  options.class_idx = 4;
  const ordered_json json = run();
  EXPECT_FALSE(json.contains("gnet"));
  EXPECT_FALSE(json.contains("S_churn"));
  EXPECT_EQ(json["chosen_class"], 4);
}

TEST_F(Parameters, DifferencesAreNamed) {
  const ordered_json before = run();
  const std::string text = picture_parameters(before, 3, 1);
  EXPECT_EQ(describe_difference(before, 3, text), "");
  EXPECT_EQ(describe_difference(before, 4, text), "seed: 3 there, 4 now");
  options.sampler.num_steps = 5;
  EXPECT_EQ(describe_difference(run(), 3, text), "steps: 32 there, 5 now");
  options.sampler.num_steps = 32;
  options.class_idx = 1;
  EXPECT_EQ(describe_difference(run(), 3, text), "chosen_class: none there, 1 now");
  options.class_idx.reset();
  // The same network under another name is no difference; another one under the same name is.
  std::filesystem::copy(dir / "nät.pkl", dir / "copy.pkl");
  options.net = dir / "copy.pkl";
  EXPECT_EQ(describe_difference(run(), 3, text), "");
  save_snapshot(dir / "copy.pkl", test::small_snapshot(5, 99), SnapshotFormat::pickle);
  EXPECT_NE(describe_difference(run(), 3, text).find("net_sha256: "), std::string::npos);
  for (const std::string& nonsense : {std::string("{"), std::string("[]"), std::string(),
                                      std::string(100'000, '['), std::string("\xff")})
    EXPECT_NE(describe_difference(before, 3, nonsense), "");
}

TEST(FormatSeeds, AsTheOptionReadsThem) {
  const auto text = [](std::vector<int64_t> seeds) { return format_seeds(seeds); };
  EXPECT_EQ(text({}), "");
  EXPECT_EQ(text({4}), "4");
  EXPECT_EQ(text({0, 1, 2, 3, 7, 9, 10, 20, 21, 22}), "0-3,7,9,10,20-22");
  EXPECT_EQ(text({-3, -2, -1, 0, 1, 2}), "-3,-2,-1,0-2");
  EXPECT_EQ(text({2, 1, 0, 2, 2}), "2,1,0,2,2");
  constexpr int64_t max = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(text({max, max - 1, -max - 1}),
            std::to_string(max) + "," + std::to_string(max - 1) + "," + std::to_string(-max - 1));
}

}  // namespace edm2
