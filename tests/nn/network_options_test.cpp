#include "edm2/nn/network_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

TEST(NetworkOptions, DefaultsAreValid) { EXPECT_NO_THROW(validate(NetworkOptions{})); }

TEST(NetworkOptions, ValidateRefusesImpossibleNetworks) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<const char*, std::function<void(NetworkOptions&)>>> spoilers = {
      {"img_resolution", [](auto& o) { o.img_resolution = 0; }},
      {"img_resolution", [](auto& o) { o.img_resolution = 60; }},
      {"img_resolution", [](auto& o) { o.img_resolution = -8; }},
      {"img_channels", [](auto& o) { o.img_channels = 0; }},
      {"label_dim", [](auto& o) { o.label_dim = -1; }},
      {"logvar_channels", [](auto& o) { o.logvar_channels = 0; }},
      {"model_channels", [](auto& o) { o.model_channels = 0; }},
      {"model_channels", [](auto& o) { o.model_channels = int64_t{1} << 62; }},
      {"channel_mult", [](auto& o) { o.channel_mult = {}; }},
      {"channel_mult",
       [](auto& o) {
         o.channel_mult = {1, 0};
       }},
      {"channel_mult",
       [](auto& o) {
         o.channel_mult = {1, int64_t{1} << 40};
       }},
      {"channel_mult", [](auto& o) { o.channel_mult.assign(100, 1); }},
      {"channel_mult_noise", [](auto& o) { o.channel_mult_noise = 0; }},
      {"channel_mult_emb", [](auto& o) { o.channel_mult_emb = -1; }},
      {"num_blocks", [](auto& o) { o.num_blocks = 0; }},
      {"num_blocks", [](auto& o) { o.num_blocks = int64_t{1} << 40; }},
      {"channels_per_head", [](auto& o) { o.channels_per_head = 0; }},
      {"sigma_data", [](auto& o) { o.sigma_data = 0; }},
      {"sigma_data", [nan](auto& o) { o.sigma_data = nan; }},
      {"label_balance", [](auto& o) { o.label_balance = 1.5; }},
      {"concat_balance", [nan](auto& o) { o.concat_balance = nan; }},
      {"res_balance", [](auto& o) { o.res_balance = -0.1; }},
      {"attn_balance", [](auto& o) { o.attn_balance = 2; }},
      {"dropout", [](auto& o) { o.dropout = 1; }},
      {"dropout", [nan](auto& o) { o.dropout = nan; }},
      {"clip_act", [](auto& o) { o.clip_act = 0; }},
      {"resample_filter",
       [](auto& o) {
         o.resample_filter = {1, 2, 1};
       }},
      {"resample_filter", [](auto& o) { o.resample_filter = {}; }},
      {"resample_filter",
       [](auto& o) {
         o.resample_filter = {1, -1};
       }},
      {"heads", [](auto& o) { o.model_channels = 100; }},  // 400 channels, 6 heads
  };
  for (const auto& [expected, spoil] : spoilers) {
    NetworkOptions options;
    spoil(options);
    try {
      validate(options);
      ADD_FAILURE() << "accepted a wrong " << expected;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

TEST(NetworkOptions, FewerChannelsThanAHeadMeansNoAttention) {
  NetworkOptions options;
  options.model_channels = 8;  // 32 channels at the lowest level, 64 per head
  EXPECT_NO_THROW(validate(options));
  options.clip_act.reset();
  options.attn_resolutions.clear();
  EXPECT_NO_THROW(validate(options));
}

TEST(NetworkOptions, JsonKeepsEveryMember) {
  NetworkOptions options;
  options.img_resolution = 16;
  options.label_dim = 10;
  options.use_fp16 = false;
  options.sigma_data = 0.25;
  options.channel_mult = {1, 2};
  options.channel_mult_noise = 3;
  options.attn_resolutions = {};
  options.resample_filter = {1, 3, 3, 1};
  options.dropout = 0.1;
  options.clip_act.reset();
  const auto json = nlohmann::json::parse(to_json(options).dump());
  EXPECT_EQ(network_options_from_json(json), options);
  EXPECT_EQ(json.size(), 20u);
  EXPECT_TRUE(json.at("clip_act").is_null());
  EXPECT_NE(network_options_from_json(json), NetworkOptions{});
}

TEST(NetworkOptions, JsonFillsInDefaultsAndRefusesTheUnknown) {
  EXPECT_EQ(network_options_from_json(nlohmann::json::object()), NetworkOptions{});
  for (const char* wrong :
       {R"({"model_channel": 8})", R"({"model_channels": 8.5})", R"({"model_channels": null})",
        R"({"channel_mult": 3})", R"({"channel_mult": [1, "2"]})", R"({"use_fp16": 1})", "[]", "3"})
    EXPECT_THROW(network_options_from_json(nlohmann::json::parse(wrong)), Error) << wrong;
}

}  // namespace
}  // namespace edm2
