#include "core/network_interfaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<NetworkInterface> two = {{"lo", "127.0.0.1"}, {"eth0", "10.0.0.5"}};

std::string error_of(const std::string& value, const std::vector<NetworkInterface>& there = two) {
  try {
    parse_gloo_interfaces(value, there);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(NetworkInterfaces, NamesAsPyTorchTakesThem) {
  EXPECT_THAT(parse_gloo_interfaces("eth0", two), ElementsAre("eth0"));
  EXPECT_THAT(parse_gloo_interfaces("eth0,lo", two), ElementsAre("eth0", "lo"));
}

TEST(NetworkInterfaces, OthersAreRefusedWithThoseThatThereAre) {
  EXPECT_EQ(error_of("^lo"),
            "the environment variable GLOO_SOCKET_IFNAME is '^lo', but Gloo takes names alone, "
            "without the '^' and '=' that NCCL knows; set it to one of this machine's interfaces: "
            "lo (127.0.0.1), eth0 (10.0.0.5), or leave it unset to take the one by which "
            "MASTER_ADDR is reached");
  for (const char* value : {"^lo,docker", "=eth0", "eth", "eth1", "eth0 ", "eth0,", ",", "eth0,,lo",
                            "eth0;lo", "10.0.0.5", "ETH0", "\x1b[2J"}) {
    EXPECT_THAT(error_of(value), HasSubstr("GLOO_SOCKET_IFNAME is '")) << value;
    EXPECT_THAT(error_of(value), HasSubstr("lo (127.0.0.1), eth0 (10.0.0.5)")) << value;
  }
  EXPECT_THAT(error_of("\x1b[2J"), HasSubstr("'\\x1b[2J'"));
  EXPECT_THAT(error_of("lo,eth1"), HasSubstr("of which 'eth1' is no interface"));
  EXPECT_THAT(error_of("eth0", {}), HasSubstr("there are none with an address"));
}

TEST(NetworkInterfaces, ThoseOfThisMachineAreAccepted) {
  for (const auto& [name, address] : network_interfaces()) {
    EXPECT_FALSE(name.empty());
    EXPECT_FALSE(address.empty()) << name;
    EXPECT_THAT(parse_gloo_interfaces(name, network_interfaces()), ElementsAre(name));
  }
}

}  // namespace edm2
