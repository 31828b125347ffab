// Coefficients of the multistep formulas against numeric integration.
#include "diffusion/exponential_weights.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>

namespace edm2 {
namespace {

/// Integral from 0 to 1 of h e^(-h (1 - u)) u^k, by Simpson's rule.
double integrate(double h, int k) {
  constexpr int intervals = 4000;
  double sum = 0;
  for (int i = 0; i <= intervals; ++i) {
    const double u = static_cast<double>(i) / intervals;
    const double weight = i == 0 || i == intervals ? 1 : (i % 2 == 1 ? 4 : 2);
    sum += weight * h * std::exp(-h * (1 - u)) * std::pow(u, k);
  }
  return sum / (3 * intervals);
}

double weighted_powers(const std::vector<double>& weights, const std::vector<double>& nodes,
                       int k) {
  double sum = 0;
  for (size_t j = 0; j < nodes.size(); ++j) sum += weights[j] * std::pow(nodes[j], k);
  return sum;
}

}  // namespace

/// A formula of p nodes is exact for polynomials up to degree p - 1.
RC_GTEST_PROP(ExponentialWeightsProperty, IntegratePolynomialsExactly, ()) {
  const double h = std::exp(static_cast<double>(*rc::gen::inRange(-70, 20)) / 10);
  std::vector<double> nodes = {*rc::gen::element(0.0, 1.0)};
  const auto count = *rc::gen::element<size_t>(1, 3, 4);
  while (nodes.size() < count)
    nodes.push_back(nodes.back() - static_cast<double>(*rc::gen::inRange(3, 30)) / 10);
  const auto weights = exponential_weights(h, nodes);
  for (int k = 0; k < static_cast<int>(count); ++k)
    RC_ASSERT(std::abs(weighted_powers(weights, nodes, k) - integrate(h, k)) < 1e-9);
}

TEST(ExponentialWeights, TwoNodesAreThoseOfThePapers) {
  // DPM-Solver++(2M): D = (1 + 1 / (2 r)) D0 - 1 / (2 r) D1, weighed with 1 - e^-h.
  for (const double h : {1e-3, 0.3, 2.0, 9.0})
    for (const double r : {0.4, 1.0, 3.0}) {
      const auto w = exponential_weights(h, std::vector<double>{0, -r});
      const double all = 1 - std::exp(-h);
      EXPECT_NEAR(w[0], all * (1 + 1 / (2 * r)), 1e-14 / r);
      EXPECT_NEAR(w[1], -all / (2 * r), 1e-14 / r);
    }
}

TEST(ExponentialWeights, NoJumpWhereTheMethodOfIntegrationChanges) {
  const std::vector<double> nodes = {1, 0, -0.7, -1.6};
  const auto below = exponential_weights(1 - 1e-12, nodes), above = exponential_weights(1, nodes);
  for (size_t j = 0; j < nodes.size(); ++j) EXPECT_NEAR(below[j], above[j], 1e-11);
}

}  // namespace edm2
