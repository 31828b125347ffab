#include "train/round_draws.h"

#include <ATen/ATen.h>

namespace edm2 {
namespace {

/// Seeds of images by their places in the run, apart from all other uses of the run's seed.
std::vector<int64_t> image_seeds(int64_t seed, const std::vector<int64_t>& positions) {
  constexpr int64_t images = 0x696d6167;
  std::vector<int64_t> seeds;
  for (const int64_t position : positions)
    seeds.push_back(static_cast<int64_t>(tuple_hash({seed, images, position}) & 0xffffffffu));
  return seeds;
}

}  // namespace

std::vector<int64_t> positions_of_round(const ProcessGroup& group, int64_t cur_nimg,
                                        int64_t batch_gpu, int64_t round) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < batch_gpu; ++i)
    positions.push_back(cur_nimg + group.rank() + group.size() * (round * batch_gpu + i));
  return positions;
}

RoundDraws draws_for(const TrainOptions& options, c10::Device device,
                     const std::vector<int64_t>& positions) {
  if (options.streams == Streams::rank)
    return {.normal = [](const Tensor& like) { return at::randn_like(like); }, .dropout = nullptr};
  const auto streams =
      std::make_shared<StackedGenerator>(device, image_seeds(options.seed, positions));
  return {
      .normal = [streams](const Tensor& like) { return streams->randn_like(like); },
      .dropout = [streams](const Tensor& y,
                           double p) { return y * streams->bernoulli_like(y, 1 - p).div_(1 - p); }};
}

}  // namespace edm2
