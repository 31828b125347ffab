// Coefficients of exponential multistep formulas.
#pragma once

#include <span>
#include <vector>

namespace edm2 {

/// With lambda = -log sigma the ODE of sampling has the exact solution (arXiv 2211.01095,
/// Prop. 4.1)
///   x(t) = sigma_t / sigma_s x(s) + sigma_t * integral from lambda_s to lambda_t of e^lambda D.
/// Replacing D by the polynomial through (lambda_j, D_j) turns the second term into sum_j w_j D_j.
/// h = lambda_t - lambda_s > 0; nodes: distinct (lambda_j - lambda_s) / h. Returns w_j; their sum
/// is 1 - e^-h.
///
/// One or more than two nodes: exact integrals. Two nodes: the slope of the polynomial counts half
/// of 1 - e^-h, as in DPM-Solver++(2M), UniP-2 and UniC-1 with B(h) = e^h - 1; it differs from the
/// integral by O(h^3), less than these formulas' own error of second order.
std::vector<double> exponential_weights(double h, std::span<const double> nodes);

}  // namespace edm2
