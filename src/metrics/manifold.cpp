#include "edm2/metrics/manifold.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

constexpr int64_t block = 2048;  // rows and columns of distances at once: 32 MiB

/// Squared distances between the rows: [N,D], [M,D] -> [N,M].
Tensor squared_distances(const Tensor& x, const Tensor& y) {
  const Tensor x2 = x.square().sum(1, /*keepdim=*/true), y2 = y.square().sum(1);
  return at::addmm(x2 + y2, x, y.t(), 1, -2).clamp_min_(0);
}

/// Calls visit(row, column, distances) for blocks of all pairs of rows of x and y.
template <class Visit>
void for_each_block(const Tensor& x, const Tensor& y, const Visit& visit) {
  for (int64_t row = 0; row < x.size(0); row += block) {
    const Tensor rows = x.slice(0, row, row + block);
    for (int64_t column = 0; column < y.size(0); column += block) {
      check_interrupt();
      visit(row, column, squared_distances(rows, y.slice(0, column, column + block)));
    }
  }
}

/// Squared distances of each row to its 1st, 2nd, ... k-th neighbour among the others: [N,k].
Tensor neighbor_distances(const Tensor& x, int64_t k) {
  Tensor nearest = at::full({x.size(0), k}, std::numeric_limits<double>::infinity(), x.options());
  for_each_block(x, x, [&](int64_t row, int64_t column, Tensor distances) {
    if (row == column) distances.diagonal().fill_(std::numeric_limits<double>::infinity());
    Tensor rows = nearest.slice(0, row, row + block);
    const Tensor all = at::cat({rows, distances}, 1);
    rows.copy_(std::get<0>(all.topk(k, 1, /*largest=*/false, /*sorted=*/true)));
  });
  return nearest;
}

ManifoldScores::Share share_of(const Tensor& per_picture) {
  const auto n = static_cast<double>(per_picture.numel());
  const Tensor values = per_picture.to(at::kDouble);
  return {values.mean().item<double>(),
          n > 1 ? values.std(/*unbiased=*/true).item<double>() / std::sqrt(n) : 0};
}

}  // namespace

ManifoldScores manifold_scores(const Tensor& generated, const Tensor& real,
                               const ManifoldOptions& options) {
  if (generated.size(1) != real.size(1))
    throw Error("the two sets have " + std::to_string(generated.size(1)) + " and " +
                std::to_string(real.size(1)) +
                " features an image, so they come from different detectors");
  const int64_t most = std::max(options.neighbors, options.density_neighbors);
  if (std::min(generated.size(0), real.size(0)) <= most)
    throw Error("precision, recall, density and coverage need more than " + std::to_string(most) +
                " images on each side");
  const auto place = at::TensorOptions(options.device).dtype(at::kDouble);
  // Distances do not change when both sets are moved, but their rounding gets smaller.
  const Tensor center = real.to(place).mean(0);
  const Tensor fake = generated.to(place) - center, given = real.to(place) - center;

  const Tensor real_near = neighbor_distances(given, most);
  const Tensor fake_near = neighbor_distances(fake, options.neighbors);
  const Tensor real_radius = real_near.select(1, options.neighbors - 1);
  const Tensor fake_radius = fake_near.select(1, options.neighbors - 1);
  const Tensor density_radius = real_near.select(1, options.density_neighbors - 1);

  const auto flags = place.dtype(at::kBool);
  Tensor precise = at::zeros({fake.size(0)}, flags), recalled = at::zeros({given.size(0)}, flags),
         covered = at::zeros({given.size(0)}, flags);
  Tensor balls = at::zeros({fake.size(0)}, place.dtype(at::kLong));
  for_each_block(fake, given, [&](int64_t row, int64_t column, const Tensor& distances) {
    const auto of_rows = [&](const Tensor& t) { return t.slice(0, row, row + block); };
    const auto of_columns = [&](const Tensor& t) { return t.slice(0, column, column + block); };
    of_rows(precise).logical_or_((distances <= of_columns(real_radius)).any(1));
    of_columns(recalled).logical_or_((distances <= of_rows(fake_radius).unsqueeze(1)).any(0));
    const Tensor inside = distances <= of_columns(density_radius);
    of_rows(balls).add_(inside.sum(1));
    of_columns(covered).logical_or_(inside.any(0));
  });
  return {share_of(precise), share_of(recalled),
          share_of(balls.to(at::kDouble) / static_cast<double>(options.density_neighbors)),
          share_of(covered)};
}

}  // namespace edm2
