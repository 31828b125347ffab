#include "edm2/ema/posthoc.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"

namespace edm2 {
namespace {

// Systems of profiles are badly conditioned (10^6 and more), so they are solved with more digits
// than the coefficients are used with, where the machine has them.
using Real = long double;

// Square matrix or several columns, row by row.
class Matrix {
 public:
  Matrix(size_t rows, size_t columns) : columns_(columns), values_(rows * columns) {}
  Real& operator()(size_t row, size_t column) { return values_[row * columns_ + column]; }
  Real operator()(size_t row, size_t column) const { return values_[row * columns_ + column]; }
  size_t columns() const { return columns_; }
  void swap_rows(size_t a, size_t b) {
    std::swap_ranges(row(a), row(a) + static_cast<ptrdiff_t>(columns_), row(b));
  }

 private:
  std::vector<Real>::iterator row(size_t i) {
    return values_.begin() + static_cast<ptrdiff_t>(i * columns_);
  }
  size_t columns_;
  std::vector<Real> values_;
};

struct Profile {
  Real time, exponent;
};

std::vector<Profile> with_exponents(std::span<const EmaProfile> profiles) {
  std::vector<Profile> result;
  for (const EmaProfile& profile : profiles) {
    if (profile.time <= 0 || !(profile.std > 0 && profile.std < 0.289))
      throw Error("an EMA profile needs a positive time and a relative width between 0 and 0.289");
    result.push_back({static_cast<Real>(profile.time), std_to_exp(profile.std)});
  }
  return result;
}

Real correlation(const Profile& a, const Profile& b) {
  const Real ratio = a.time / b.time;
  const Real exponent = a.time < b.time ? b.exponent : -a.exponent;
  return (a.exponent + 1) * (b.exponent + 1) * std::pow(ratio, exponent) /
         ((a.exponent + b.exponent + 1) * std::max(a.time, b.time));
}

Matrix correlations(const std::vector<Profile>& rows, const std::vector<Profile>& columns) {
  Matrix result(rows.size(), columns.size());
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t j = 0; j < columns.size(); ++j) result(i, j) = correlation(rows[i], columns[j]);
  return result;
}

// a x = b by elimination with partial pivoting; a is used up, b becomes x.
void solve(Matrix& a, Matrix& b) {
  const size_t n = a.columns(), m = b.columns();
  Real largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(a(i, i)));
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i)
      if (std::abs(a(i, k)) > std::abs(a(pivot, k))) pivot = i;
    if (!(std::abs(a(pivot, k)) > largest * 1e-18L))
      throw Error("the stored averages are so alike that they cannot be told apart");
    if (pivot != k) {
      a.swap_rows(pivot, k);
      b.swap_rows(pivot, k);
    }
    for (size_t i = k + 1; i < n; ++i) {
      const Real factor = a(i, k) / a(k, k);
      if (factor == 0) continue;
      for (size_t j = k + 1; j < n; ++j) a(i, j) -= factor * a(k, j);
      for (size_t j = 0; j < m; ++j) b(i, j) -= factor * b(k, j);
    }
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t j = 0; j < m; ++j) {
      for (size_t i = k + 1; i < n; ++i) b(k, j) -= a(k, i) * b(i, j);
      b(k, j) /= a(k, k);
    }
  }
}

void check_different(std::span<const EmaProfile> stored) {
  if (stored.empty()) throw Error("there are no stored averages to reconstruct from");
  std::vector<EmaProfile> sorted(stored.begin(), stored.end());
  const auto before = [](const EmaProfile& a, const EmaProfile& b) {
    return std::pair(a.time, a.std) < std::pair(b.time, b.std);
  };
  std::sort(sorted.begin(), sorted.end(), before);
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw Error("two stored averages have the same time and the same width");
}

double relative(Real squared_error, Real squared_norm) {
  return static_cast<double>(std::sqrt(std::max<Real>(squared_error, 0) / squared_norm));
}

}  // namespace

double profile_correlation(const EmaProfile& a, const EmaProfile& b) {
  const EmaProfile both[] = {a, b};
  const auto profiles = with_exponents(both);
  return static_cast<double>(correlation(profiles[0], profiles[1]));
}

std::vector<double> profile_response(const EmaProfile& profile, int64_t length) {
  const double g = std_to_exp(profile.std), end = static_cast<double>(profile.time);
  std::vector<double> response;
  for (int64_t i = 0; i < length; ++i) {
    const auto t = static_cast<double>(i);
    response.push_back(t <= end ? std::pow(t / end, g) / end * (g + 1) : 0);
  }
  const double sum = std::accumulate(response.begin(), response.end(), 0.0);
  for (double& value : response) value /= sum;
  return response;
}

double combined_density(std::span<const EmaProfile> profiles, std::span<const double> coefficients,
                        double time) {
  double sum = 0;
  for (size_t i = 0; i < profiles.size(); ++i) {
    const double g = std_to_exp(profiles[i].std), end = static_cast<double>(profiles[i].time);
    if (time <= end) sum += coefficients[i] * (g + 1) / end * std::pow(time / end, g);
  }
  return sum;
}

std::vector<PostHocSolution> solve_posthoc(std::span<const EmaProfile> stored,
                                           std::span<const EmaProfile> targets) {
  check_different(stored);
  const auto inputs = with_exponents(stored), outputs = with_exponents(targets);
  const Matrix a = correlations(inputs, inputs), b = correlations(inputs, outputs);
  Matrix used_up = a, x = b;
  solve(used_up, x);

  std::vector<PostHocSolution> solutions(targets.size());
  const size_t n = stored.size();
  for (size_t j = 0; j < targets.size(); ++j) {
    Real sum = 0;
    for (size_t i = 0; i < n; ++i) sum += x(i, j);
    for (size_t i = 0; i < n; ++i) x(i, j) /= sum;
    // |sum_i x_i p_i - p|^2
    const Real norm = correlation(outputs[j], outputs[j]);
    Real distance = norm;
    for (size_t i = 0; i < n; ++i) {
      distance -= 2 * x(i, j) * b(i, j);
      for (size_t k = 0; k < n; ++k) distance += x(i, j) * a(i, k) * x(k, j);
      solutions[j].coefficients.push_back(static_cast<double>(x(i, j)));
    }
    solutions[j].error = relative(distance, norm);
  }
  return solutions;
}

namespace {

// Solutions for all targets with a shrinking set of stored averages.
class Thinning {
 public:
  Thinning(std::span<const EmaProfile> stored, std::span<const EmaProfile> targets)
      : inputs_(with_exponents(stored)), outputs_(with_exponents(targets)) {
    left_.resize(stored.size());
    std::iota(left_.begin(), left_.end(), size_t{0});
    for (const Profile& output : outputs_) norms_.push_back(correlation(output, output));
    refresh();
    for (size_t j = 0; j < outputs_.size(); ++j)
      first_errors_.push_back(squared_error(fits_[j], j));
  }

  const std::vector<size_t>& left() const { return left_; }

  /// Sum of the targets' squared relative errors if `left()[i]` goes.
  Real error_without(size_t i) const {
    Real sum = 0;
    for (size_t j = 0; j < outputs_.size(); ++j) sum += squared_error(fit_without(i, j), j);
    return sum;
  }

  ThinningStep remove(size_t i) {
    ThinningStep step{left_[i], 0, 0};
    if (++since_refresh_ == refresh_every) {
      left_.erase(left_.begin() + static_cast<ptrdiff_t>(i));
      refresh();
    } else {
      eliminate(i);
    }
    for (size_t j = 0; j < outputs_.size(); ++j) {
      const Real growth = std::max<Real>(squared_error(fits_[j], j) - first_errors_[j], 0);
      step.rms_loss += static_cast<double>(growth) / static_cast<double>(outputs_.size());
      step.largest_loss = std::max(step.largest_loss, static_cast<double>(std::sqrt(growth)));
    }
    step.rms_loss = std::sqrt(step.rms_loss);
    return step;
  }

 private:
  static constexpr int refresh_every = 16;  // errors of updates add up

  // What the error of the solution x of A x = b, divided by its sum, depends on.
  struct Fit {
    Real explained = 0;  // b x = x A x
    Real sum = 0;        // of x
  };

  Real squared_error(const Fit& fit, size_t j) const {
    return 1 + fit.explained * (1 / (fit.sum * fit.sum) - 2 / fit.sum) / norms_[j];
  }

  // Without row i the solution is x - x_i / (A^-1)_ii (A^-1)_i, known from regression.
  Fit fit_without(size_t i, size_t j) const {
    const Real factor = x_(i, j) / inverse_(i, i);
    return {fits_[j].explained - factor * x_(i, j), fits_[j].sum - factor * inverse_sums_[i]};
  }

  // Everything from the averages that are left.
  void refresh() {
    since_refresh_ = 0;
    std::vector<Profile> inputs;
    for (const size_t i : left_) inputs.push_back(inputs_[i]);
    const size_t n = inputs.size(), m = outputs_.size();
    Matrix a = correlations(inputs, inputs);
    const Matrix b = correlations(inputs, outputs_);
    inverse_ = Matrix(n, n);
    for (size_t i = 0; i < n; ++i) inverse_(i, i) = 1;
    solve(a, inverse_);
    x_ = Matrix(n, m);
    fits_.assign(m, {});
    for (size_t i = 0; i < n; ++i)
      for (size_t k = 0; k < n; ++k)
        for (size_t j = 0; j < m; ++j) x_(i, j) += inverse_(i, k) * b(k, j);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < m; ++j) {
        fits_[j].explained += b(i, j) * x_(i, j);
        fits_[j].sum += x_(i, j);
      }
    }
    sum_inverse();
  }

  // Takes row and column i out of the inverse.
  void eliminate(size_t i) {
    const size_t n = left_.size(), m = outputs_.size();
    for (size_t j = 0; j < m; ++j) fits_[j] = fit_without(i, j);
    Matrix inverse(n - 1, n - 1), x(n - 1, m);
    for (size_t r = 0, row = 0; r < n; ++r) {
      if (r == i) continue;
      const Real factor = inverse_(r, i) / inverse_(i, i);
      for (size_t c = 0, column = 0; c < n; ++c)
        if (c != i) inverse(row, column++) = inverse_(r, c) - factor * inverse_(i, c);
      for (size_t j = 0; j < m; ++j) x(row, j) = x_(r, j) - factor * x_(i, j);
      ++row;
    }
    inverse_ = std::move(inverse);
    x_ = std::move(x);
    left_.erase(left_.begin() + static_cast<ptrdiff_t>(i));
    sum_inverse();
  }

  void sum_inverse() {
    inverse_sums_.assign(left_.size(), 0);
    for (size_t i = 0; i < left_.size(); ++i)
      for (size_t k = 0; k < left_.size(); ++k) inverse_sums_[i] += inverse_(k, i);
  }

  std::vector<Profile> inputs_, outputs_;
  std::vector<size_t> left_;
  Matrix inverse_{0, 0}, x_{0, 0};
  std::vector<Real> inverse_sums_;  // of its columns
  std::vector<Fit> fits_;
  std::vector<Real> norms_, first_errors_;  // of the targets: squared norm, squared relative error
  int since_refresh_ = 0;
};

}  // namespace

std::vector<ThinningStep> thin_profiles(std::span<const EmaProfile> stored,
                                        std::span<const EmaProfile> targets) {
  check_different(stored);
  if (targets.empty()) throw Error("thinning needs at least one EMA length that is wanted");
  std::map<int64_t, int64_t> left_at;  // stored averages by time, for the times of the targets
  for (const EmaProfile& target : targets)
    left_at[target.time] = std::count_if(
        stored.begin(), stored.end(), [&](const EmaProfile& p) { return p.time == target.time; });
  Thinning thinning(stored, targets);
  std::vector<ThinningStep> steps;
  while (thinning.left().size() > 1) {
    std::optional<size_t> best;
    Real least = 0;
    for (size_t i = 0; i < thinning.left().size(); ++i) {
      const auto entry = left_at.find(stored[thinning.left()[i]].time);
      if (entry != left_at.end() && entry->second == 1) continue;
      const Real error = thinning.error_without(i);
      if (best && error >= least) continue;
      best = i;
      least = error;
    }
    if (!best) break;
    const auto entry = left_at.find(stored[thinning.left()[*best]].time);
    if (entry != left_at.end()) --entry->second;
    steps.push_back(thinning.remove(*best));
  }
  return steps;
}

}  // namespace edm2
