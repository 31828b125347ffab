/// Post-hoc EMA: weights for any EMA length out of a few stored averages (arXiv 2312.02696, Section
/// 3.2 and Appendix C.2). Nothing here knows of networks or files.
///
/// During training, averages with fixed lengths are stored now and then: theta_i, each of which is
/// the integral of the raw weights theta(t) with a known profile p_i(t). Afterwards the average
/// with any other profile p is approximated by sum_i x_i theta_i, where the x_i minimise the
/// distance between sum_i x_i p_i and p.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace edm2 {

/// The profile of an average over the time from 0 to `time`: weight density proportional to t^g,
/// where g is the exponent that belongs to the relative width `std` (std_to_exp()).
struct EmaProfile {
  int64_t time = 0;  ///< > 0, in any unit; the tools count images
  double std = 0;    ///< in (0, 0.289)

  bool operator==(const EmaProfile&) const = default;
};

/// Integral of the product of two profiles over all times (Eq. 151, Algorithm 3).
double profile_correlation(const EmaProfile& a, const EmaProfile& b);

/// Weights of the times 0, 1, ..., length - 1 in an average, scaled to sum 1 (Eq. 121, 108); 0
/// after profile.time.
std::vector<double> profile_response(const EmaProfile& profile, int64_t length);

/// Sum of coefficients[i] * p_i(t), a density over the time.
double combined_density(std::span<const EmaProfile> profiles, std::span<const double> coefficients,
                        double time);

/// How one target is put together.
struct PostHocSolution {
  /// One for each stored average; they sum to 1 (the least-squares solution, divided by its sum).
  std::vector<double> coefficients;
  /// Distance between the profile that results and the target's, relative to the target's norm: 0 =
  /// exact. Where successive weights were independent of each other this would be the relative
  /// error of the average's random part. Below about 1e-9 it is rounding.
  double error = 0;
};

/// Solves for all targets at once (Algorithm 3). A target should not be later than the last stored
/// average. Throws Error: nothing stored, two stored averages with the same profile, or averages so
/// alike that the coefficients cannot be computed.
std::vector<PostHocSolution> solve_posthoc(std::span<const EmaProfile> stored,
                                           std::span<const EmaProfile> targets);

/// One step of giving up stored averages. The square of a target's loss is what the square of its
/// PostHocSolution::error has grown by (0 if it has become smaller).
struct ThinningStep {
  size_t removed = 0;       ///< position of the average that is given up
  double rms_loss = 0;      ///< of the targets by now, root mean square
  double largest_loss = 0;  ///< of the targets by now
};

/// Which of the stored averages to give up, one after the other, so that the errors of the targets
/// (sum of squares) grow least at each step. Goes on until only one average is left for each time
/// of a target, because the tools reconstruct at the times of stored averages only.
std::vector<ThinningStep> thin_profiles(std::span<const EmaProfile> stored,
                                        std::span<const EmaProfile> targets);

}  // namespace edm2
