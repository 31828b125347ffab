// Averages of gradients; the processes are threads of this test.
#include "train/gradient_average.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "edm2/core/error.h"
#include "support/free_port.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

std::vector<std::string> run_group(int size, const std::function<void(ProcessGroup&)>& work) {
  silence_libtorch_log();
  const int port = test::free_port();
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ProcessEnvironment environment;
      environment.rank = rank;
      environment.size = size;
      environment.master_addr = "127.0.0.1";
      environment.master_port = port;
      try {
        ProcessGroup group(environment);
        try {
          work(group);
        } catch (const GroupError&) {
          throw;
        } catch (const Error& error) {
          group.report_failure(error.what(), 1);
          throw;
        }
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  return errors;
}

std::unique_ptr<Precond> trainable_network() {
  // Drawn once: the default generator is not for several threads.
  static const Snapshot snapshot = test::small_snapshot(3);
  auto network = std::make_unique<Precond>(snapshot);
  network->to(at::kFloat);
  network->requires_grad(true);
  return network;
}

/// Image `i` of an endless dataset.
Tensor image(int64_t i) {
  auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(i));
  return at::randn({1, 3, 16, 16}, generator);
}

void add_gradient(Precond& network, int64_t i) {
  const Tensor x = image(i), labels = at::eye(3).narrow(0, i % 3, 1);
  const auto output = network.forward(x, at::full({1}, 0.5 + 0.1 * static_cast<double>(i)), labels,
                                      /*return_logvar=*/true);
  (output.denoised.pow(2).mean() * output.logvar.exp().sum()).backward();
}

std::vector<Tensor> gradients(Precond& network) {
  std::vector<Tensor> all;
  for (const auto& entry : network.named_parameters()) all.push_back(entry.tensor->grad().clone());
  return all;
}

}  // namespace

TEST(GradientAverage, IsTheMeanOverAllAndRepeatsBitForBit) {
  constexpr int size = 3;
  constexpr int64_t rounds = 2;
  const auto whole = trainable_network();
  for (int64_t i = 0; i < size * rounds; ++i) add_gradient(*whole, i);
  const auto expected = gradients(*whole);

  // In one bucket, and in buckets of a few tensors each.
  std::vector<std::vector<Tensor>> first;
  for (const int64_t bucket_bytes : {int64_t{1} << 30, int64_t{4096}, int64_t{4096}}) {
    std::vector<std::vector<Tensor>> results(size);
    const auto errors = run_group(size, [&](ProcessGroup& group) {
      const auto network = trainable_network();
      GradientAverage average(*network, group, bucket_bytes);
      for (int64_t round = 0; round < rounds; ++round) {
        if (round + 1 == rounds) average.begin();
        add_gradient(*network, group.rank() + size * round);
      }
      average.finish();
      results[static_cast<size_t>(group.rank())] = gradients(*network);
    });
    for (const auto& error : errors) ASSERT_EQ(error, "");
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT(test::max_difference(results[0][i] * size, expected[i]),
                1e-5 * (1e-3 + expected[i].abs().max().item<double>()));
      EXPECT_TRUE(results[1][i].equal(results[0][i])) << "all have the same bits";
      EXPECT_TRUE(results[2][i].equal(results[0][i]));
    }
    if (bucket_bytes != 4096) continue;
    if (first.empty()) first = results;
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(results[0][i].equal(first[0][i]));
  }
}

TEST(GradientAverage, ParametersWithoutGradientStayWithout) {
  const auto errors = run_group(2, [](ProcessGroup& group) {
    const auto network = trainable_network();
    GradientAverage average(*network, group);
    average.begin();
    // The uncertainty head is not asked.
    network->forward(image(group.rank()), at::ones({1}), at::eye(3).narrow(0, 0, 1))
        .denoised.sum()
        .backward();
    average.finish();
    for (const auto& entry : network->named_parameters())
      EXPECT_EQ(entry.tensor->grad().defined(), entry.name != "logvar_linear.weight") << entry.name;
  });
  for (const auto& error : errors) EXPECT_EQ(error, "");
}

TEST(SameWeights, DifferencesAreNamed) {
  const auto run = [](bool repair) {
    return run_group(2, [&](ProcessGroup& group) {
      const auto network = trainable_network();
      network->requires_grad(false);
      if (group.rank() == 1)
        for (const auto& entry : network->named_tensors())
          if (entry.name == "unet.out_conv.weight") entry.tensor->flatten()[3] += 1e-6;
      if (repair) broadcast_weights(*network, group);
      check_same_weights(*network, group);
      group.barrier();
    });
  };
  for (const auto& error : run(true)) EXPECT_EQ(error, "");
  const auto errors = run(false);
  EXPECT_THAT(errors[1], testing::HasSubstr("'unet.out_conv.weight' differs"));
  EXPECT_THAT(errors[0], testing::HasSubstr("rank 1 on "));
  EXPECT_THAT(errors[0], testing::HasSubstr("'unet.out_conv.weight' differs"));
}

}  // namespace edm2
