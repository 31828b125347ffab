// The network interfaces of this machine, and which of them the user wants Gloo to take.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

namespace edm2 {

/// As a number; empty if it has none. Of IPv4 or IPv6.
std::string address_text(const sockaddr* address);

struct NetworkInterface {
  std::string name, address;  // the first of its addresses, as a number
};

/// Those that are up and have an address, in the system's order.
std::vector<NetworkInterface> network_interfaces();

/// The interfaces that GLOO_SOCKET_IFNAME names ("eth0", "eth0,eth1" as with PyTorch); empty where
/// it is not set. Throws Error, with the names that there are, for others and for NCCL's syntax.
std::vector<std::string> gloo_interfaces();
/// The same of that value on a machine with these interfaces.
std::vector<std::string> parse_gloo_interfaces(const std::string& value,
                                               const std::vector<NetworkInterface>& there);

}  // namespace edm2
