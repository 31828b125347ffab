#include "edm2/analysis/train_benchmark.h"

#include <gtest/gtest.h>

#include "analysis/convolution_speed.h"
#include "edm2/train/train_options.h"

namespace edm2 {

TEST(Convolutions, AreThoseOfTheNetwork) {
  // Numbers of the original's counter: 129 convolutions, six of which change the resolution, and
  // 545.50 billion multiplications in all of them.
  TrainOptions train;
  apply_training_preset(train, "edm2-img512-xxl");
  train.network.img_resolution = 64;
  train.network.img_channels = 4;
  int64_t count = 0;
  double multiplications = 0;
  for (const ConvolutionShape& shape : convolutions_of(train.network)) {
    count += shape.count;
    multiplications += static_cast<double>(shape.count * shape.in * shape.out * shape.kernel *
                                           shape.kernel * shape.size * shape.size);
  }
  EXPECT_EQ(count, 123);
  EXPECT_NEAR(multiplications / 1e9, 545.50, 0.05);
}

TEST(Convolutions, TheFirstNeedsNoGradientOfItsInput) {
  NetworkOptions o;
  o.img_resolution = 8;
  o.model_channels = 16;
  o.channel_mult = {1};
  o.num_blocks = 1;
  int64_t without = 0;
  for (const ConvolutionShape& shape : convolutions_of(o)) {
    if (shape.input_gradient) continue;
    without += shape.count;
    EXPECT_EQ(shape.in, 4);
    const ConvolutionTimer timer(shape, 2, c10::kFloat, c10::kCPU);
    EXPECT_EQ(timer.chosen().size(), 2u);
    EXPECT_GT(timer.measure(), 0);
  }
  EXPECT_EQ(without, 1);
}

TEST(TrainBenchmarkTest, PartsAddUp) {
  TrainBenchmarkOptions o;
  o.network.img_resolution = 8;
  o.network.label_dim = 3;
  o.network.model_channels = 16;
  o.network.channel_mult = {1, 2};
  o.network.num_blocks = 1;
  o.network.attn_resolutions = {4};
  o.network.channels_per_head = 16;
  o.batch = 2;
  o.seconds = 0;
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    o.precision = precision;
    const TrainBenchmark result = benchmark_training(o);
    EXPECT_EQ(result.rounds, 3);
    EXPECT_GT(result.parameters, 100000);
    for (const double part : {result.forward, result.backward, result.update, result.convolutions,
                              result.peak_memory, result.ratio})
      EXPECT_GT(part, 0);
    EXPECT_GE(result.step, std::max({result.forward, result.backward, result.update}));
    EXPECT_DOUBLE_EQ(result.images_per_second, 2 / result.step);
  }
}

}  // namespace edm2
