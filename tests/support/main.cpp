// Runs GoogleTest; exit code 77 (CTest: skipped) when nothing failed and every selected test was
// skipped.
#include <gtest/gtest.h>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  const auto* unit_test = testing::UnitTest::GetInstance();
  if (result == 0 && unit_test->skipped_test_count() > 0 && unit_test->successful_test_count() == 0)
    return 77;
  return result;
}
