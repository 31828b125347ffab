/// Networks for inference, several times as fast on the CPU as `Precond` is without gradients: see
/// docs/benchmarks.md.
#pragma once

#include <memory>
#include <string>

#include "edm2/core/device.h"
#include "edm2/nn/denoiser.h"
#include "edm2/nn/stored_snapshot.h"

namespace edm2 {

enum class EngineKind {
  automatic,  ///< the engine where it can compute the network, else the reference
  fast,       ///< the same with Winograd's convolutions in float32: an error of up to 1e-4; on
              ///< CUDA, where automatic is the reference, the engine if its library is there
  int8,       ///< on the CPU in float32, weights in 8 bits: half the memory, an error of about 1 %
  reference,  ///< `Precond`: operator by operator as the original, to the last rounding
};

/// "auto", "fast", "int8" or "reference"; throws UsageError otherwise.
EngineKind parse_engine(const std::string& name);

/// Whether make_denoiser() gives the engine, and not the reference, for this network: on the CPU in
/// float32 and bfloat16, on CUDA as EngineKind says; with the original's resampling filter.
bool engine_takes(const NetworkOptions& options, Precision precision, c10::Device device,
                  EngineKind kind = EngineKind::automatic);

/// A network for inference, its weights folded (arXiv 2312.02696, Fig. 21, configuration G). An
/// image comes out the same, to the last bit, in any batch and with any number of threads, and
/// within 1e-5 of what `Precond` computes in float32. Weights are read and folded one after the
/// other; a snapshot that is moved in takes no memory beside the folded ones. Throws Error if the
/// snapshot lacks a tensor or cannot be read, NotFiniteError if weights are not finite, UsageError
/// for int8 on CUDA or in another type than float32.
std::shared_ptr<Denoiser> make_denoiser(StoredSnapshot snapshot, Precision precision,
                                        c10::Device device,
                                        EngineKind kind = EngineKind::automatic);

}  // namespace edm2
