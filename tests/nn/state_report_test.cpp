#include "edm2/nn/state_report.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/small_models.h"

namespace edm2 {
namespace {

TEST(StateReport, NamesWhatDoesNotFit) {
  Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  EXPECT_TRUE(compare_state(snapshot.network, snapshot.tensors).matches());
  EXPECT_EQ(compare_state(snapshot.network, snapshot.tensors).sentence(), "");

  StateDict& tensors = snapshot.tensors;
  const std::string lost = tensors[2].first, odd = tensors[4].first;
  tensors[4].second = at::ones({2, 3});
  tensors[5].second = tensors[5].second.to(at::kInt);
  tensors.erase(tensors.begin() + 2);
  tensors.emplace_back("foreign.weight", at::ones({7}));
  const StateReport report = compare_state(snapshot.network, tensors);
  EXPECT_FALSE(report.matches());
  ASSERT_EQ(report.missing.size(), 1u);
  EXPECT_EQ(report.missing[0].name, lost);
  EXPECT_EQ(report.missing[0].expected, "[16]");
  ASSERT_EQ(report.unexpected.size(), 1u);
  EXPECT_EQ(report.unexpected[0].name, "foreign.weight");
  EXPECT_EQ(report.unexpected[0].found, "[7]");
  ASSERT_EQ(report.unfitting.size(), 2u);
  EXPECT_EQ(report.unfitting[0].name, odd);
  EXPECT_EQ(report.unfitting[0].found, "[2, 3]");
  EXPECT_NE(report.unfitting[1].found.find("Int"), std::string::npos);
  for (const std::string& name : {lost, odd, std::string("foreign.weight")}) {
    EXPECT_NE(report.sentence().find(name), std::string::npos) << report.sentence();
    EXPECT_NE(report.table().find(name), std::string::npos) << report.table();
  }
}

TEST(StateReport, TypesAreNotCalledShapes) {
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  StateDict tensors = snapshot.tensors;
  for (auto& [name, tensor] : tensors) tensor = tensor.to(at::kInt);
  const std::string sentence = compare_state(snapshot.network, tensors).sentence();
  EXPECT_NE(sentence.find("more hold no weights (unet.out_gain is [] of type Int)"),
            std::string::npos)
      << sentence;
  EXPECT_EQ(sentence.find("shapes"), std::string::npos) << sentence;
}

TEST(StateReport, LongListsAreCut) {
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  const StateReport nothing = compare_state(snapshot.network, {});
  EXPECT_EQ(nothing.missing.size(), snapshot.tensors.size());
  EXPECT_EQ(nothing.sentence(),
            "the network lacks the tensors unet.out_gain, unet.emb_fourier.freqs, "
            "unet.emb_fourier.phases and " +
                std::to_string(snapshot.tensors.size() - 3) + " more");
  StateDict many;
  for (int i = 0; i < 5000; ++i) many.emplace_back("x" + std::to_string(i), at::ones({1}));
  const std::string table = compare_state(snapshot.network, many).table();
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 201);
}

TEST(StateReport, NamesFromFilesAreMadePrintable) {
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  StateDict tensors = snapshot.tensors;
  tensors.emplace_back("\x1b[31mred\n" + std::string(1000, 'x'), at::ones({1}));
  const StateReport report = compare_state(snapshot.network, tensors);
  EXPECT_EQ(report.unexpected[0].name.find_first_of("\x1b\n"), std::string::npos);
  EXPECT_LT(report.unexpected[0].name.size(), 130u);
  tensors = snapshot.tensors;
  tensors.push_back(tensors[0]);
  EXPECT_THROW(compare_state(snapshot.network, tensors), Error);
}

}  // namespace
}  // namespace edm2
