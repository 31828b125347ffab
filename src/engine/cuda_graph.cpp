#include "engine/cuda_graph.h"

#include <utility>

#include "core/side_library.h"
#include "engine/cuda_graph_library.h"

namespace edm2 {
namespace {

const CudaGraphLibrary* library() {
  using Ask = const CudaGraphLibrary* (*)(int version);
  static const auto ask = reinterpret_cast<Ask>(
      find_in_side_library("libedm2_cuda_graph.so", "edm2_cuda_graph_library"));
  return ask != nullptr ? ask(CudaGraphLibrary::current_version) : nullptr;
}

class CudaGraph : public RecordedWork {
 public:
  CudaGraph(const CudaGraphLibrary& library, void* graph) : library_(library), graph_(graph) {}
  ~CudaGraph() override { library_.destroy(graph_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  void replay() override { library_.replay(graph_); }

 private:
  const CudaGraphLibrary& library_;
  void* graph_;
};

class CudaGraphRecorder : public WorkRecorder {
 public:
  CudaGraphRecorder(const CudaGraphLibrary& library, c10::Device device)
      : library_(library), device_(device) {}
  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override {
    const auto call = [](const void* context) {
      (*static_cast<const std::function<void()>*>(context))();
    };
    void* const graph = library_.record(call, &work, device_.index());
    return graph != nullptr ? std::make_unique<CudaGraph>(library_, graph) : nullptr;
  }

 private:
  const CudaGraphLibrary& library_;
  c10::Device device_;
};

}  // namespace

std::unique_ptr<WorkRecorder> cuda_graph_recorder(c10::Device device) {
  const CudaGraphLibrary* const found = library();
  return found != nullptr ? std::make_unique<CudaGraphRecorder>(*found, device) : nullptr;
}

}  // namespace edm2
