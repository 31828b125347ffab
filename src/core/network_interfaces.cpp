#include "core/network_interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "edm2/core/error.h"
#include "edm2/core/printable.h"
#include "edm2/core/words.h"

namespace edm2 {
namespace {

constexpr const char* variable = "GLOO_SOCKET_IFNAME";  // as PyTorch users know it

[[noreturn]] void refuse_interface(const std::string& value, const std::string& why,
                                   const std::vector<NetworkInterface>& there) {
  std::string names;
  for (const auto& [name, address] : there)
    names += (names.empty() ? "" : ", ") + name + " (" + address + ")";
  throw Error("the environment variable " + std::string(variable) + " is '" + printable(value) +
              "', " + why + "; set it to one of this machine's interfaces: " +
              (names.empty() ? "there are none with an address" : names) +
              ", or leave it unset to take the one by which MASTER_ADDR is reached");
}

}  // namespace

std::string address_text(const sockaddr* address) {
  const socklen_t size = address->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  char text[NI_MAXHOST] = "";
  if (getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) return "";
  return text;
}

std::vector<NetworkInterface> network_interfaces() {
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(found, &freeifaddrs);
  std::vector<NetworkInterface> interfaces;
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
    const sockaddr* address = entry->ifa_addr;
    if (address == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) continue;
    const bool known = std::any_of(interfaces.begin(), interfaces.end(), [&](const auto& other) {
      return other.name == entry->ifa_name;
    });
    if (!known) interfaces.push_back({entry->ifa_name, address_text(address)});
  }
  return interfaces;
}

std::vector<std::string> parse_gloo_interfaces(const std::string& value,
                                               const std::vector<NetworkInterface>& there) {
  if (value.find_first_of("^=") != std::string::npos)
    refuse_interface(value, "but Gloo takes names alone, without the '^' and '=' that NCCL knows",
                     there);
  std::vector<std::string> names;
  for (const std::string& name : split(value, ',')) {
    const bool known = std::any_of(there.begin(), there.end(),
                                   [&](const auto& interface) { return interface.name == name; });
    if (!known)
      refuse_interface(value,
                       name.empty() ? "which has an empty name between commas"
                       : name == value
                           ? "which is not the name of an interface that is up and has an address"
                           : "of which '" + printable(name) +
                                 "' is no interface that is up and has an "
                                 "address",
                       there);
    names.push_back(name);
  }
  return names;
}

std::vector<std::string> gloo_interfaces() {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return {};
  return parse_gloo_interfaces(value, network_interfaces());
}

}  // namespace edm2
