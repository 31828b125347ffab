// Networks and inputs for the tests of the engine.
#pragma once

#include <ATen/ATen.h>

#include "edm2/nn/network.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

inline NetworkOptions small_network() {
  NetworkOptions o;
  o.img_resolution = 16;
  o.img_channels = 3;
  o.label_dim = 5;
  o.model_channels = 32;
  o.channel_mult = {1, 2};
  o.num_blocks = 1;
  o.attn_resolutions = {8};
  o.channels_per_head = 32;
  return o;
}

/// Random weights; gains that let all layers take part.
inline Snapshot random_snapshot(const NetworkOptions& options) {
  at::manual_seed(7);
  Precond network(options);
  for (const auto& entry : network.named_parameters())
    if (entry.name.ends_with("gain")) entry.tensor->fill_(0.7);
  Snapshot snapshot;
  snapshot.network = options;
  for (const auto& [name, tensor] : network.state_dict())
    snapshot.tensors.emplace_back(name, tensor.clone());
  return snapshot;
}

/// As snapshots are stored.
inline Snapshot random_half_snapshot(const NetworkOptions& options) {
  Snapshot snapshot = random_snapshot(options);
  for (auto& [name, tensor] : snapshot.tensors) tensor = tensor.to(at::kHalf);
  return snapshot;
}

struct Inputs {
  Tensor x, sigma, labels;
};

inline Inputs random_inputs(const NetworkOptions& o, int64_t n) {
  at::manual_seed(3);
  Inputs in;
  in.sigma = at::rand({n}).mul(6).sub(3).exp();
  in.x = at::randn({n, o.img_channels, o.img_resolution, o.img_resolution}) *
         in.sigma.reshape({n, 1, 1, 1}).add(0.5);
  if (o.label_dim > 0)
    in.labels = at::one_hot(at::randint(o.label_dim, {n}, at::kLong), o.label_dim).to(at::kFloat);
  return in;
}

}  // namespace edm2
