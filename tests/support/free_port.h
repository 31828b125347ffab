// TCP ports for tests.
#pragma once

namespace edm2::test {

/// Listens on a port of this machine as long as it lives.
class Listener {
 public:
  Listener();
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  int port() const { return port_; }

 private:
  int fd_ = -1, port_ = 0;
};

/// A port that nobody listened on a moment ago.
int free_port();

}  // namespace edm2::test
