#include "edm2/core/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edm2/core/error.h"

namespace edm2 {

TEST(Device, Names) {
  EXPECT_TRUE(select_device("cpu").is_cpu());
  const c10::Device automatic = select_device("auto");
  EXPECT_TRUE(automatic.is_cpu() || automatic.is_cuda());
  for (const char* name : {"", "CPU", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:999"})
    EXPECT_THROW(select_device(name), UsageError) << name;
}

TEST(Device, CudaIsUsableOrThereIsAReason) {
  if (select_device("auto").is_cuda()) {
    EXPECT_EQ(select_device("cuda:0").index(), 0);
    EXPECT_THROW(select_device("cuda:127"), Error);
    return;
  }
  try {
    select_device("cuda");
    FAIL() << "auto chose the CPU, but cuda is usable";
  } catch (const UsageError&) {
    FAIL() << "not a wrong option";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("CUDA cannot be used"));
  }
}

TEST(Device, Precision) {
  const c10::Device cpu(c10::kCPU), cuda(c10::kCUDA, 0);
  EXPECT_EQ(activation_dtype(parse_precision("auto"), true, cuda), c10::kHalf);
  EXPECT_EQ(activation_dtype(parse_precision("auto"), false, cuda), c10::kFloat);
  EXPECT_EQ(activation_dtype(parse_precision("auto"), true, cpu), c10::kFloat);
  EXPECT_EQ(activation_dtype(parse_precision("bf16"), true, cpu), c10::kBFloat16);
  EXPECT_EQ(activation_dtype(parse_precision("fp16"), false, cpu), c10::kHalf);
  EXPECT_EQ(activation_dtype(parse_precision("fp32"), true, cuda), c10::kFloat);
  EXPECT_THROW(parse_precision("fp8"), UsageError);
}

TEST(Device, NoMemoryFiguresOnTheCpu) {
  reset_peak_device_memory(c10::kCPU);
  EXPECT_EQ(peak_device_memory(c10::kCPU).peak_allocated, 0);
  EXPECT_EQ(peak_device_memory(c10::kCPU).peak_reserved, 0);
}

}  // namespace edm2
