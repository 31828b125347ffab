#include "diffusion/exponential_weights.h"

#include <cmath>
#include <cstddef>

namespace edm2 {
namespace {

/// Integral from 0 to 1 of h e^(-h (1 - u)) u^k du.
double moment(double h, int k) {
  if (h < 1) {  // the recurrence below would cancel: h k! sum_j (-h)^j / (k + j + 1)!
    double term = h / (k + 1), sum = 0;
    for (int j = 0; j < 20; ++j) {
      sum += term;
      term *= -h / (k + j + 2);
    }
    return sum;
  }
  double value = -std::expm1(-h);
  for (int m = 1; m <= k; ++m) value = 1 - m / h * value;  // integration by parts
  return value;
}

/// Coefficients, of u^0 first, of the polynomial that is 1 at nodes[j] and 0 at the others.
std::vector<double> lagrange_polynomial(std::span<const double> nodes, size_t j) {
  std::vector<double> c = {1};
  for (size_t m = 0; m < nodes.size(); ++m) {
    if (m == j) continue;
    // c(u) *= (u - nodes[m]) / (nodes[j] - nodes[m])
    const double scale = 1 / (nodes[j] - nodes[m]);
    c.push_back(0);
    for (size_t k = c.size(); k-- > 0;) c[k] = ((k > 0 ? c[k - 1] : 0) - nodes[m] * c[k]) * scale;
  }
  return c;
}

}  // namespace

std::vector<double> exponential_weights(double h, std::span<const double> nodes) {
  std::vector<double> moments(nodes.size());
  for (size_t k = 0; k < nodes.size(); ++k) moments[k] = moment(h, static_cast<int>(k));
  if (nodes.size() == 2) moments[1] = moments[0] / 2;
  std::vector<double> weights;
  for (size_t j = 0; j < nodes.size(); ++j) {
    const auto polynomial = lagrange_polynomial(nodes, j);
    double weight = 0;
    for (size_t k = 0; k < nodes.size(); ++k) weight += polynomial[k] * moments[k];
    weights.push_back(weight);
  }
  return weights;
}

}  // namespace edm2
