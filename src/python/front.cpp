// The compiled part of the Python package that is the same for all versions of torch and Python: it
// loads the bridge for the torch at hand and shows its classes to Python. Arrays are capsules
// "dltensor" here; what is pleasant to use is written in Python (python/edm2).
#include <dlfcn.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "python/front.h"

namespace edm2::python {
namespace {

template <class Object, class Make>
Reporting<Object> make_reporting(const PythonMessage& message, const PythonAdvance& advance,
                                 const Make& make) {
  Reporting<Object> result;
  const Reporter reporter = make_reporter(message, advance, result.callbacks);
  result.object = result.work([&] { return make(reporter); });
  return result;
}

void bind_networks(nb::module_& m) {
  nb::class_<NetworkFacts>(m, "NetworkFacts")
      .def_ro("img_channels", &NetworkFacts::img_channels)
      .def_ro("img_resolution", &NetworkFacts::img_resolution)
      .def_ro("label_dim", &NetworkFacts::label_dim)
      .def_ro("vector_labels", &NetworkFacts::vector_labels)
      .def_ro("device", &NetworkFacts::device);

  using S = Reporting<Sampler>;
  nb::class_<S>(m, "Sampler")
      .def("facts", [](const S& self) { return self.object->facts(); })
      .def("set_guide",
           [](S& self, const std::string& gnet, double guidance) {
             self.work([&] { self.object->set_guide(gnet, guidance); });
           })
      .def("set_options", [](S& self, const std::string& json) { self.object->set_options(json); })
      .def("options", [](const S& self) { return self.object->options(); })
      .def(
          "generate",
          [](S& self, const std::vector<int64_t>& seeds, const std::string& options, Array labels,
             bool decode, const PythonStep& on_step) {
            const OnStep step = make_on_step(on_step, *self.callbacks);
            Pictures pictures = self.work([&] {
              return self.object->generate(seeds, options, std::move(labels), decode, step);
            });
            return std::tuple(std::move(pictures.images), std::move(pictures.latents),
                              std::move(pictures.labels));
          },
          nb::arg("seeds"), nb::arg("options"), nb::arg("labels").none(), nb::arg("decode"),
          nb::arg("on_step").none())
      .def("decode", [](S& self, Array latents) {
        return self.work([&] { return self.object->decode(std::move(latents)); });
      });

  using D = Reporting<Denoiser>;
  nb::class_<D>(m, "Denoiser")
      .def("facts", [](const D& self) { return self.object->facts(); })
      .def(
          "denoise",
          [](D& self, Array x, Array sigma, Array labels) {
            return self.work([&] {
              return self.object->denoise(std::move(x), std::move(sigma), std::move(labels));
            });
          },
          nb::arg("x"), nb::arg("sigma"), nb::arg("labels").none());
}

void bind_ema(nb::module_& m) {
  nb::class_<Ema>(m, "Ema")
      .def("update",
           [](Ema& self, NamedArrays weights, int64_t nimg, int64_t batch) {
             work([&] { self.update(std::move(weights), nimg, batch); });
           })
      .def("copy_buffers",
           [](Ema& self, NamedArrays weights) {
             work([&] { self.copy_buffers(std::move(weights)); });
           })
      .def("weights", &Ema::weights)
      .def("save",
           [](const Ema& self, const std::string& folder, int64_t nimg, const std::string& prefix) {
             return work([&] { return self.save(folder, nimg, prefix); });
           })
      .def("load",
           [](Ema& self, std::vector<double> stds, std::vector<NamedArrays> weights) {
             work([&] { self.load(std::move(stds), std::move(weights)); });
           })
      .def("stds", &Ema::stds);

  nb::class_<SnapshotFact>(m, "SnapshotFact")
      .def_ro("file_name", &SnapshotFact::file_name)
      .def_ro("nimg", &SnapshotFact::nimg)
      .def_ro("std", &SnapshotFact::std);
  nb::class_<Snapshots>(m, "Snapshots")
      .def("files", &Snapshots::files)
      .def("notes", &Snapshots::notes)
      .def(
          "reconstruct",
          [](Snapshots& self, double std, std::optional<int64_t> nimg) {
            return work([&] { return self.reconstruct(std, nimg); });
          },
          nb::arg("std"), nb::arg("nimg").none())
      .def(
          "solve",
          [](Snapshots& self, double std, std::optional<int64_t> nimg) {
            return work([&] { return self.solve(std, nimg); });
          },
          nb::arg("std"), nb::arg("nimg").none());
}

void bind_pictures(nb::module_& m) {
  using D = Reporting<Detector>;
  nb::class_<D>(m, "Detector")
      .def("name", [](const D& self) { return self.object->name(); })
      .def("feature_dim", [](const D& self) { return self.object->feature_dim(); })
      .def("features", [](D& self, Array pixels) {
        return self.work([&] { return self.object->features(std::move(pixels)); });
      });

  nb::class_<PictureSet>(m, "PictureSet")
      .def("size", &PictureSet::size)
      .def("picture",
           [](const PictureSet& self, int64_t index) {
             const nb::gil_scoped_release unlocked;
             return self.picture(index);
           })
      .def("notes", &PictureSet::notes);

  nb::class_<Dataset>(m, "Dataset")
      .def("size", &Dataset::size)
      .def("image_shape", &Dataset::image_shape)
      .def("label_dim", &Dataset::label_dim)
      .def("label_kind", &Dataset::label_kind)
      .def("notes", &Dataset::notes)
      .def("item",
           [](const Dataset& self, int64_t index) {
             const nb::gil_scoped_release unlocked;
             return self.item(index);
           })
      .def("item_name", &Dataset::item_name);
}

// Statistics are tuples (name, mu, sigma).
using StatisticsTuple = std::tuple<std::string, Array, Array>;

Statistics to_statistics(StatisticsTuple tuple) {
  auto& [name, mu, sigma] = tuple;
  return {std::move(name), std::move(mu), std::move(sigma)};
}
StatisticsTuple to_tuple(Statistics statistics) {
  return {std::move(statistics.name), std::move(statistics.mu), std::move(statistics.sigma)};
}

// Scores are tuples (value, deviation).
std::pair<double, double> to_pair(const Scored& scored) { return {scored.value, scored.deviation}; }

void bind_score_functions(nb::class_<Bridge>& bridge) {
  bridge
      .def("statistics",
           [](const Bridge& self, Array features) {
             return to_tuple(work([&] { return self.statistics(std::move(features)); }));
           })
      .def("load_statistics",
           [](const Bridge& self, const std::string& path) {
             auto [list, num_images] = work([&] { return self.load_statistics(path); });
             std::vector<StatisticsTuple> tuples;
             for (Statistics& each : list) tuples.push_back(to_tuple(std::move(each)));
             return std::pair(std::move(tuples), num_images);
           })
      .def(
          "save_statistics",
          [](const Bridge& self, const std::string& path, std::vector<StatisticsTuple> tuples,
             std::optional<int64_t> num_images) {
            std::vector<Statistics> list;
            for (StatisticsTuple& each : tuples) list.push_back(to_statistics(std::move(each)));
            work([&] { self.save_statistics(path, std::move(list), num_images); });
          },
          nb::arg("path"), nb::arg("statistics"), nb::arg("num_images").none())
      .def("frechet_distance",
           [](const Bridge& self, StatisticsTuple a, StatisticsTuple b) {
             return work([&] {
               return self.frechet_distance(to_statistics(std::move(a)),
                                            to_statistics(std::move(b)));
             });
           })
      .def("kernel_distance",
           [](const Bridge& self, Array x, Array y, int64_t subsets, int64_t subset_size,
              int64_t seed) {
             return to_pair(work([&] {
               return self.kernel_distance(std::move(x), std::move(y), subsets, subset_size, seed);
             }));
           })
      .def("manifold_scores",
           [](const Bridge& self, Array generated, Array real, int64_t neighbors,
              int64_t density_neighbors) {
             std::vector<std::pair<std::string, std::pair<double, double>>> pairs;
             for (const auto& [name, scored] : work([&] {
                    return self.manifold_scores(std::move(generated), std::move(real), neighbors,
                                                density_neighbors);
                  }))
               pairs.emplace_back(name, to_pair(scored));
             return pairs;
           })
      .def("load_features", [](const Bridge& self, const std::string& path) {
        return work([&] { return self.load_features(path); });
      });
}

void bind_makers(nb::class_<Bridge>& bridge) {
  const auto on_message = nb::arg("message").none(), on_advance = nb::arg("advance").none();
  bridge
      .def(
          "sampler",
          [](Bridge& self, const std::string& request, const ComputeOptions& compute,
             const PythonMessage& message, const PythonAdvance& advance) {
            return make_reporting<Sampler>(message, advance, [&](const Reporter& reporter) {
              return self.sampler(request, compute, reporter);
            });
          },
          nb::arg("request"), nb::arg("compute"), on_message, on_advance)
      .def(
          "denoiser",
          [](Bridge& self, const std::string& source, const ComputeOptions& compute,
             const PythonMessage& message, const PythonAdvance& advance) {
            return make_reporting<Denoiser>(message, advance, [&](const Reporter& reporter) {
              return self.denoiser(source, compute, reporter);
            });
          },
          nb::arg("source"), nb::arg("compute"), on_message, on_advance)
      .def(
          "detector",
          [](Bridge& self, const std::string& kind, const std::string& weights,
             const ComputeOptions& compute, const PythonMessage& message,
             const PythonAdvance& advance) {
            return make_reporting<Detector>(message, advance, [&](const Reporter& reporter) {
              return self.detector(kind, weights, compute, reporter);
            });
          },
          nb::arg("kind"), nb::arg("weights"), nb::arg("compute"), on_message, on_advance)
      .def("ema",
           [](Bridge& self, NamedArrays weights, std::vector<double> stds,
              std::vector<std::string> buffers) {
             return work(
                 [&] { return self.ema(std::move(weights), std::move(stds), std::move(buffers)); });
           })
      .def(
          "snapshots",
          [](Bridge& self, const std::string& folder, std::optional<std::string> prefix) {
            return work([&] { return self.snapshots(folder, std::move(prefix)); });
          },
          nb::arg("folder"), nb::arg("prefix").none())
      .def(
          "pictures",
          [](Bridge& self, const std::string& path, std::optional<int64_t> max_size, int64_t seed) {
            return work([&] { return self.pictures(path, max_size, seed); });
          },
          nb::arg("path"), nb::arg("max_size").none(), nb::arg("seed"))
      .def(
          "dataset",
          [](Bridge& self, const std::string& path, bool use_labels,
             std::optional<int64_t> max_size, bool xflip, int64_t seed) {
            return work([&] { return self.dataset(path, use_labels, max_size, xflip, seed); });
          },
          nb::arg("path"), nb::arg("use_labels"), nb::arg("max_size").none(), nb::arg("xflip"),
          nb::arg("seed"));
}

void bind_commands(nb::class_<Bridge>& bridge) {
  bridge
      .def("info",
           [](Bridge& self, const std::string& path, bool layers, bool values, bool offline) {
             return to_str(work([&] { return self.info(path, layers, values, offline); }));
           })
      .def("run",
           [](Bridge& self, const std::vector<std::string>& words, const PythonPrint& print) {
             Callbacks callbacks;
             const std::function<void(int, const std::string&)> print_text =
                 make_print(print, callbacks);
             const CommandEnd end =
                 work(&callbacks, true, [&] { return self.run(words, print_text); });
             return std::pair(end.code, to_str(end.message));
           })
      .def("command_options", [](Bridge& self, const std::vector<std::string>& command) {
        std::vector<std::pair<std::string, bool>> pairs;
        for (const CommandOption& option : self.command_options(command))
          pairs.emplace_back(option.name, option.takes_value);
        return pairs;
      });
}

/// Loads libedm2 for the libtorch that is in this process.
Bridge& load(const std::string& library, const std::string& program) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    throw nb::import_error(
        (std::string("edm2 cannot be loaded into this torch: ") + dlerror()).c_str());
  const auto make =
      reinterpret_cast<decltype(&edm2_python_bridge)>(dlsym(handle, "edm2_python_bridge"));
  Bridge* const bridge = make != nullptr ? make(bridge_version) : nullptr;
  if (bridge == nullptr)
    throw nb::import_error(
        (library + " belongs to another version of edm2; please install edm2 anew").c_str());
  bridge->set_program_file(program);
  the_bridge = bridge;
  return *bridge;
}

}  // namespace
}  // namespace edm2::python

NB_MODULE(_front, m) {
  using namespace edm2::python;
  nb::set_leak_warnings(
      false);  // objects that live at the end of a program are no concern of users
  nb::register_exception_translator(translate);
  nb::class_<ComputeOptions>(m, "ComputeOptions")
      .def(nb::init<std::string, std::string, std::string, std::optional<std::string>, bool>(),
           nb::arg("device"), nb::arg("precision"), nb::arg("engine"), nb::arg("vae").none(),
           nb::arg("offline"));
  bind_networks(m);
  bind_ema(m);
  bind_pictures(m);

  auto bridge = nb::class_<Bridge>(m, "Bridge")
                    .def("version", &Bridge::version)
                    .def("built_for_torch", &Bridge::built_for_torch)
                    .def("sampling_options", &Bridge::sampling_options)
                    .def("presets", &Bridge::presets)
                    .def("std_to_exp", &Bridge::std_to_exp)
                    .def("exp_to_std", &Bridge::exp_to_std)
                    .def("power_function_beta", &Bridge::power_function_beta);
  bind_makers(bridge);
  bind_score_functions(bridge);
  bind_commands(bridge);
  m.def("load", &load, nb::rv_policy::reference);
}
