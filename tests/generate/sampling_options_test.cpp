#include "edm2/generate/sampling_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/checks.h"

namespace edm2 {
namespace {

using nlohmann::json;

SamplingRequest request_of(const std::string& text) {
  SamplingRequest request;
  sampling_options().fill(request, json::parse(text));
  return request;
}

}  // namespace

TEST(SamplingOptions, AreFilledFromJson) {
  const SamplingRequest request = request_of(R"({
      "net": "net.pkl", "seeds": [5, 3], "class": 7, "batch": 2, "label_vector": [0.5, 1],
      "solver": "dpmpp-2m", "steps": 8, "sigma_max": 40, "guidance": 2, "engine": "int8",
      "guidance_interval": [0.1, "inf"], "S_churn": 3, "S_max": "inf"})");
  EXPECT_EQ(request.net, "net.pkl");
  EXPECT_EQ(request.seeds, (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(request.class_idx, 7);
  EXPECT_EQ(request.max_batch_size, 2);
  EXPECT_EQ(request.label_vector, (std::vector{0.5, 1.0}));
  EXPECT_EQ(request.sampler.solver, Solver::dpmpp_2m);
  EXPECT_EQ(request.sampler.num_steps, 8);
  EXPECT_EQ(request.sampler.sigma_max, 40);
  EXPECT_EQ(request.guidance, 2);
  EXPECT_EQ(request.engine, EngineKind::int8);
  EXPECT_EQ(request.sampler.guidance_interval.low, 0.1);
  EXPECT_FALSE(std::isfinite(request.sampler.guidance_interval.high));
  EXPECT_EQ(request.sampler.S_churn, 3);
}

TEST(SamplingOptions, SayWhatIsWrong) {
  const auto error = [](const std::string& text) {
    return test::error_of([&] { request_of(text); });
  };
  EXPECT_EQ(error(R"({"steps": 0})"), "Invalid value for 'steps': 0 is not in the range x>=1.");
  EXPECT_EQ(error(R"({"guidance-interval": [2, 1]})"),
            "Invalid value for 'guidance-interval': '[2,1]' is not an interval LO,HI of noise "
            "levels with 0 <= LO < HI.");
  EXPECT_EQ(error(R"({"solver": "ddim"})"),
            "Invalid value for 'solver': 'ddim' is not one of heun, euler, dpmpp-2m, dpmpp-3m, "
            "unipc.");
  EXPECT_EQ(error(R"({"stpes": 3})"), "No such option 'stpes'; the nearest is 'steps'.");
}

TEST(SamplingOptions, BecomeThoseOfGeneration) {
  GenerateOptions options;
  EXPECT_THROW(apply(request_of("{}"), options), Error);
  apply(request_of(R"({"preset": "edm2-img512-xs-guid-fid", "steps": 5})"), options);
  EXPECT_TRUE(options.gnet);
  EXPECT_NE(options.sampler.guidance, 1);
  EXPECT_EQ(options.sampler.num_steps, 5);
  apply(request_of(R"({"preset": "edm2-img512-xs-guid-fid", "guidance": 1, "net": "a",
                       "fast": true})"),
        options);
  EXPECT_EQ(options.net.text(), "a");
  EXPECT_FALSE(options.gnet);
  EXPECT_EQ(options.sampler.guidance, 1);
  EXPECT_EQ(options.engine, EngineKind::fast);
}

TEST(SamplingOptions, AreListed) {
  std::vector<std::string> names;
  for (const auto& option : sampling_options().describe()) names.push_back(option["name"]);
  const std::vector<std::string> all = {"preset",    "net",    "gnet",     "vae",
                                        "seeds",     "class",  "batch",    "label_vector",
                                        "labels",    "solver", "steps",    "sigma_min",
                                        "sigma_max", "rho",    "guidance", "guidance_interval",
                                        "S_churn",   "S_min",  "S_max",    "S_noise",
                                        "engine",    "fast"};
  EXPECT_EQ(names, all);
  const auto solver = sampling_options().describe()[9];
  EXPECT_EQ(solver["default"], "heun");
  EXPECT_EQ(solver["choices"].size(), 5u);
}

}  // namespace edm2
