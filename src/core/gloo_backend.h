// The only door to Gloo, whose headers are large.
#pragma once

#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace edm2 {

/// Connects every process with every other; returns when that is done. `address`: of this process,
/// as the others reach it (a host name or number), unless gloo_interfaces() names another way.
c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank, int size, const std::string& address);

/// The address of this machine in the network through which `master_addr` is reached.
std::string own_address(const std::string& master_addr);

}  // namespace edm2
