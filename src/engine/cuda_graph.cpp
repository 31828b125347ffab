#include "engine/cuda_graph.h"

#include <memory>

#include "core/side_library.h"

namespace edm2 {

WorkRecorder cuda_graph_recorder(c10::Device device) {
  using Ask = const CudaGraphLibrary* (*)(int version);
  static const auto ask = reinterpret_cast<Ask>(
      find_in_side_library("libedm2_cuda_graph.so", "edm2_cuda_graph_library"));
  const auto* const library = ask != nullptr ? ask(CudaGraphLibrary::current_version) : nullptr;
  if (library == nullptr) return {};
  return [library, device](const std::function<void()>& work) -> RecordedWork {
    const auto call = [](const void* context) {
      (*static_cast<const std::function<void()>*>(context))();
    };
    void* const recorded = library->record(call, &work, device.index());
    if (recorded == nullptr) return {};
    const std::shared_ptr<void> graph(recorded, library->destroy);
    return [library, graph] { library->replay(graph.get()); };
  };
}

}  // namespace edm2
