/// The parts of the bridge, a file for each.
#pragma once

#include "edm2/core/device.h"
#include "edm2/io/source.h"
#include "python/bridge.h"

namespace edm2::python {

// bridge_networks.cpp
std::unique_ptr<Sampler> make_sampler(const std::string& request_json, const ComputeOptions&,
                                      const Reporter&);
std::unique_ptr<Denoiser> make_python_denoiser(const std::string& source, const ComputeOptions&,
                                               const Reporter&);

// bridge_ema.cpp
/// Throws UsageError if there are none, or one is no EMA length.
void check_stds(const std::vector<double>& stds);
std::unique_ptr<Ema> make_ema(NamedArrays weights, std::vector<double> stds,
                              std::vector<std::string> buffers);
std::unique_ptr<Snapshots> open_snapshots(const std::string& folder,
                                          std::optional<std::string> prefix);

// bridge_metrics.cpp
std::unique_ptr<Detector> make_detector(const std::string& kind, const std::string& weights,
                                        const ComputeOptions&, const Reporter&);
std::unique_ptr<PictureSet> open_picture_set(const std::string& path,
                                             std::optional<int64_t> max_size, int64_t seed);

// bridge_dataset.cpp
std::unique_ptr<Dataset> open_dataset(const std::string& path, bool use_labels,
                                      std::optional<int64_t> max_size, bool xflip, int64_t seed);

// bridge_commands.cpp
CommandEnd run_words(const std::vector<std::string>& words,
                     const std::function<void(int fd, const std::string& text)>& print);
std::vector<CommandOption> list_command_options(const std::vector<std::string>& command);

}  // namespace edm2::python
