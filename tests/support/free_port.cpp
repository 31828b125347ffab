#include "support/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace edm2::test {

Listener::Listener() : fd_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  // All addresses of both protocols (the default on Linux), so that nobody else gets the port.
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (fd_ < 0 || bind(fd_, any, sizeof address) != 0 || listen(fd_, 1) != 0 ||
      getsockname(fd_, any, &size) != 0)
    throw std::runtime_error("no free port");
  port_ = ntohs(address.sin6_port);
}

Listener::~Listener() { close(fd_); }

int free_port() { return Listener().port(); }

}  // namespace edm2::test
