// Measures the error of each solver against the number of network evaluations, on a mixture of
// Gaussians and on the bundled demo model, and draws what docs/solvers.md shows.
//
//     measure_solvers FOLDER      writes solvers.svg and solvers.csv there, tables to stdout
#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <sstream>

#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "edm2/diffusion/sampler.h"
#include "edm2/generate/presets.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/network.h"
#include "edm2/plot/figure.h"
#include "support/gaussian_mixture.h"

namespace edm2 {
namespace {

constexpr Solver solvers[] = {Solver::heun, Solver::euler, Solver::dpmpp_2m, Solver::dpmpp_3m,
                              Solver::unipc};

/// What is sampled.
struct Task {
  std::string name, title;
  Denoiser& net;
  Denoiser& gnet;
  Tensor noise, labels;
  SamplerOptions options;

  Tensor sample(Solver solver, int64_t num_steps) const {
    SamplerOptions o = options;
    o.solver = solver;
    o.num_steps = num_steps;
    return edm_sampler(net, gnet, noise, labels, o, {});
  }
};

struct Measurement {
  int64_t evaluations = 0;
  double error = 0;  // root mean square over all values of all images
};

/// errors[solver][k] belongs to evaluations[k].
struct Study {
  std::string name, title;
  std::vector<std::vector<Measurement>> errors;
};

double rms(const Tensor& x) { return x.to(at::kDouble).square().mean().sqrt().item<double>(); }

/// Heun's method takes 2 N - 1 evaluations, so `evaluations` should be odd.
Study measure(const Task& task, const Tensor& reference, const std::vector<int64_t>& evaluations) {
  Study study{task.name, task.title, {}};
  for (const Solver solver : solvers) {
    auto& row = study.errors.emplace_back();
    for (const int64_t count : evaluations) {
      const int64_t steps = solver == Solver::heun ? (count + 1) / 2 : count;
      row.push_back({count, rms(task.sample(solver, steps) - reference)});
    }
    std::cerr << task.title << ": " << solver_name(solver) << " done\n";
  }
  return study;
}

Study measure_mixture() {
  auto net = test::GaussianMixture::in_the_plane();
  SamplerOptions options;
  options.dtype = at::kDouble;
  const Tensor noise = at::randn({64, 2, 1, 1}, at::detail::createCPUGenerator(1), at::kDouble);
  const Task task{"mixture", "Mixture of Gaussians", net, net, noise, {}, options};
  const Tensor coarse = task.sample(Solver::heun, 4096), fine = task.sample(Solver::heun, 8192);
  return measure(task, fine + (fine - coarse) / 3,
                 {7, 11, 15, 23, 31, 47, 63, 95, 127, 191, 255, 383, 511});
}

/// One picture of each class.
Study measure_demo(double guidance) {
  Precond net(load_snapshot(find_bundled_model("demo-emoji32.pkl")));
  Precond gnet(load_snapshot(find_bundled_model("demo-emoji32-guide.pkl")));
  SamplerOptions options;
  options.guidance = guidance;
  std::vector<int64_t> seeds(static_cast<size_t>(net.label_dim()));
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = static_cast<int64_t>(i);
  StackedGenerator random(at::kCPU, seeds);
  const int64_t size = net.img_resolution();
  const Tensor noise = random.randn({net.img_channels(), size, size});
  const Tensor labels = at::eye(net.label_dim());
  std::ostringstream title;
  title << "Demo model, guidance " << guidance;
  const Task task{
      guidance == 1 ? "demo" : "demo-guided", title.str(), net, gnet, noise, labels, options};
  return measure(task, task.sample(Solver::heun, 256),
                 {5, 7, 9, 11, 13, 15, 19, 23, 31, 39, 47, 63, 95, 127});
}

void print_table(const Study& study) {
  std::printf("\n%s\n\n| evaluations |", study.title.c_str());
  for (const Solver solver : solvers) std::printf(" %s |", solver_name(solver).c_str());
  std::printf("\n|---|");
  for (size_t i = 0; i < std::size(solvers); ++i) std::printf("---|");
  for (size_t k = 0; k < study.errors[0].size(); ++k) {
    std::printf("\n| %lld |", static_cast<long long>(study.errors[0][k].evaluations));
    double best = study.errors[0][k].error;
    for (const auto& row : study.errors) best = std::min(best, row[k].error);
    for (const auto& row : study.errors)
      std::printf(row[k].error == best ? " **%.1e** |" : " %.1e |", row[k].error);
  }
  std::printf("\n");
}

plot::Axes draw(const Study& study) {
  plot::Axes axes;
  axes.title = study.title;
  axes.x = {.label = "Evaluations of the network", .scale = plot::Scale::log};
  axes.y = {.label = "Root mean square error", .scale = plot::Scale::log};
  const plot::Marker markers[] = {plot::Marker::circle, plot::Marker::cross, plot::Marker::square,
                                  plot::Marker::triangle, plot::Marker::diamond};
  for (size_t i = 0; i < study.errors.size(); ++i) {
    plot::Series series{.label = solver_name(solvers[i]), .style = {.marker = markers[i]}};
    for (const Measurement& m : study.errors[i]) {
      series.x.push_back(static_cast<double>(m.evaluations));
      series.y.push_back(m.error);
    }
    axes.add(std::move(series));
  }
  return axes;
}

void write_results(const std::filesystem::path& folder, const std::vector<Study>& studies) {
  std::ostringstream csv;
  csv << "study,solver,evaluations,error\n";
  plot::Figure figure{.columns = static_cast<int64_t>(studies.size()),
                      .width = 4.4 * static_cast<double>(studies.size())};
  for (const Study& study : studies) {
    print_table(study);
    figure.axes.push_back(draw(study));
    for (size_t i = 0; i < study.errors.size(); ++i)
      for (const Measurement& m : study.errors[i])
        csv << study.name << ',' << solver_name(solvers[i]) << ',' << m.evaluations << ','
            << m.error << '\n';
  }
  plot::save_figure(folder / "solvers.svg", figure);
  const std::string text = csv.str();
  write_file(folder / "solvers.csv", std::as_bytes(std::span(text)));
}

}  // namespace
}  // namespace edm2

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: measure_solvers FOLDER\n";
    return 2;
  }
  try {
    using namespace edm2;
    write_results(argv[1], {measure_mixture(), measure_demo(1), measure_demo(1.7)});
  } catch (const std::exception& error) {
    std::cerr << "Error: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
