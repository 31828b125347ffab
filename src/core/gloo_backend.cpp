#define USE_C10D_GLOO
#include "core/gloo_backend.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/network_interfaces.h"

namespace edm2 {
namespace {

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1";
}

/// The local end of a (datagram, so nothing is sent) connection to `host`; empty if there is none.
std::string local_end_towards(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return "";
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, &freeaddrinfo);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int fd = socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol);
    if (fd < 0) continue;
    sockaddr_storage own = {};
    socklen_t size = sizeof own;
    auto* own_address = reinterpret_cast<sockaddr*>(&own);
    const bool connected = connect(fd, entry->ai_addr, entry->ai_addrlen) == 0 &&
                           getsockname(fd, own_address, &size) == 0;
    close(fd);
    if (connected) return address_text(own_address);
  }
  return "";
}

/// The first address of this machine that others can reach; empty if there is none.
std::string outer_address() {
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) != 0) return "";
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(found, &freeifaddrs);
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next)
    if (entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET &&
        (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0)
      return address_text(entry->ifa_addr);
  return "";
}

}  // namespace

std::string own_address(const std::string& master_addr) {
  const std::string address = local_end_towards(master_addr);
  if (address.empty()) return "127.0.0.1";
  // Many systems give a machine's own name a loopback address, which is of no use to the others.
  const bool others_are_here = master_addr == "localhost" || is_loopback(master_addr);
  if (!is_loopback(address) || others_are_here) return address;
  const std::string outer = outer_address();
  return outer.empty() ? address : outer;
}

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank, int size,
                                                    const std::string& address) {
  // Who watches the group knows better than Gloo when to give up.
  const auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::hours(24 * 365));
  for (const std::string& interface : gloo_interfaces())
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
  if (options->devices.empty())
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
  options->threads = 2 * static_cast<int>(options->devices.size());
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

}  // namespace edm2
