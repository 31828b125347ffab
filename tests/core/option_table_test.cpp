#include "edm2/core/option_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "support/checks.h"

namespace edm2 {
namespace {

using nlohmann::json;

enum class Fruit { apple, pear };

Fruit parse_fruit(const std::string& name) {
  if (name == "apple") return Fruit::apple;
  if (name == "pear") return Fruit::pear;
  throw UsageError("'" + name + "' is not one of apple, pear.");
}

struct Basket {
  int64_t count = 3;
  double weight = 1.5;
  std::optional<double> price;
  Fruit fruit = Fruit::apple;
  bool ripe = false;
  std::string from;
  std::vector<int64_t> days = {1, 2};
  std::optional<std::vector<double>> shares;
};
struct Order {
  Basket basket;
  std::optional<std::string> name;
  std::optional<int64_t> count;
};

const OptionTable<Basket>& basket_options() {
  using B = Basket;
  static const OptionTable<B> table({
      integer_option("count", &B::count, at_least(int64_t{1}), "Pieces"),
      number_option("max-weight", &B::weight, greater_than(0.0), "Kilograms"),
      number_option("price", &B::price, {}, "Euros", "that of the day"),
      choice_option("fruit", &B::fruit, parse_fruit, {"apple", "pear"}, "What is in it"),
      switch_option("ripe", &B::ripe, "Only what can be eaten today"),
      text_option("from", &B::from, "PLACE", "Where it grew"),
      integers_option("days", &B::days, "Days of delivery"),
      numbers_option("shares", &B::shares, "How it is divided"),
  });
  return table;
}

Basket filled(const std::string& text) {
  Basket basket;
  basket_options().fill(basket, json::parse(text));
  return basket;
}

std::string error_of_filling(const std::string& text) {
  return test::error_of([&] { filled(text); });
}

}  // namespace

TEST(OptionTable, IsFilledFromJson) {
  const Basket basket = filled(R"({"count": 7, "max-weight": 2, "price": "-inf", "fruit": "pear",
      "ripe": true, "from": "Alt\u00f6tting", "days": [-3, 4], "shares": [0.5, "inf"]})");
  EXPECT_EQ(basket.count, 7);
  EXPECT_EQ(basket.weight, 2);
  EXPECT_EQ(basket.price, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(basket.fruit, Fruit::pear);
  EXPECT_TRUE(basket.ripe);
  EXPECT_EQ(basket.from, "Altötting");
  EXPECT_EQ(basket.days, (std::vector<int64_t>{-3, 4}));
  EXPECT_EQ(basket.shares, (std::vector{0.5, std::numeric_limits<double>::infinity()}));
}

TEST(OptionTable, WhatIsNotGivenStays) {
  Basket basket;
  basket.count = 5;
  basket_options().fill(basket, json::parse(R"({"max_weight": 4, "count": null})"));
  EXPECT_EQ(basket.count, 5);
  EXPECT_EQ(basket.weight, 4);  // underscores for dashes
  EXPECT_FALSE(basket.price);
}

TEST(OptionTable, FailureLeavesTheStructAsItWas) {
  Basket basket;
  EXPECT_THROW(basket_options().fill(basket, json::parse(R"({"count": 9, "max_weight": 0})")),
               UsageError);
  EXPECT_EQ(basket.count, 3);
}

TEST(OptionTable, RefusesValuesAsTheCommandLineDoes) {
  const std::string invalid = "Invalid value for ";
  EXPECT_EQ(error_of_filling(R"({"count": 0})"), invalid + "'count': 0 is not in the range x>=1.");
  EXPECT_EQ(error_of_filling(R"({"max_weight": "nan"})"),
            invalid + "'max_weight': nan is not in the range x>0.");
  EXPECT_EQ(error_of_filling(R"({"count": "many"})"),
            invalid + "'count': 'many' is not a valid integer.");
  EXPECT_EQ(error_of_filling(R"({"count": 1.5})"),
            invalid + "'count': '1.5' is not a valid integer.");
  EXPECT_EQ(error_of_filling(R"({"count": 18446744073709551615})"),
            invalid + "'count': '18446744073709551615' does not fit into 64 bits.");
  EXPECT_EQ(error_of_filling(R"({"price": [1]})"),
            invalid + "'price': '[1]' is not a valid float.");
  EXPECT_EQ(error_of_filling(R"({"fruit": "plum"})"),
            invalid + "'fruit': 'plum' is not one of apple, pear.");
  EXPECT_EQ(error_of_filling(R"({"ripe": 1})"), invalid + "'ripe': '1' is not a valid boolean.");
  EXPECT_EQ(error_of_filling(R"({"from": 1})"), invalid + "'from': '1' is not a valid text.");
  EXPECT_EQ(error_of_filling(R"({"days": 1})"), invalid + "'days': '1' is not a valid list.");
  EXPECT_EQ(error_of_filling(R"({"days": [1, "x"]})"),
            invalid + "'days': 'x' is not a valid integer.");
  EXPECT_EQ(error_of_filling(R"({"shares": []})"), invalid + "'shares': the list is empty.");
  EXPECT_EQ(error_of_filling("[1]"), "Options must be a JSON object, not '[1]'.");
}

TEST(OptionTable, UnknownKeysAreRefusedWithTheNearest) {
  EXPECT_EQ(error_of_filling(R"({"cuont": 1})"), "No such option 'cuont'; the nearest is 'count'.");
  EXPECT_EQ(error_of_filling(R"({"weight": null})"),
            "No such option 'weight'; the nearest is 'max_weight'.");
  EXPECT_LT(error_of_filling("{\"" + std::string(100'000, 'x') + "\": 1}").size(), 250u);
}

TEST(OptionTable, IsListedAsJson) {
  const auto list = basket_options().describe();
  ASSERT_EQ(list.size(), 8u);
  EXPECT_EQ(list[1].dump(), R"({"name":"max_weight","type":"number","default":1.5,)"
                            R"("help":"Kilograms","range":"x>0"})");
  EXPECT_EQ(list[2].dump(), R"({"name":"price","type":"number","default":null,)"
                            R"("help":"Euros","default_text":"that of the day"})");
  EXPECT_EQ(list[3].dump(), R"({"name":"fruit","type":"text","default":"apple",)"
                            R"("help":"What is in it","choices":["apple","pear"]})");
  EXPECT_EQ(list[4]["default"], false);
  EXPECT_EQ(list[6]["default"], json({1, 2}));
  Basket basket;
  basket.weight = std::numeric_limits<double>::infinity();
  EXPECT_EQ(basket_options().describe(basket)[1]["default"], "inf");
}

// What is listed can be given back.
TEST(OptionTable, DefaultsAreValues) {
  Basket original;
  original.shares = {0.25, 0.75};
  original.price = std::numeric_limits<double>::infinity();
  json options;
  for (const auto& option : basket_options().describe(original))
    options[option["name"].get<std::string>()] = option["default"];
  Basket copy;
  copy.days.clear();
  basket_options().fill(copy, options);
  EXPECT_EQ(copy.days, original.days);
  EXPECT_EQ(copy.shares, original.shares);
  EXPECT_EQ(copy.price, original.price);
}

TEST(OptionTable, HoldsOptionsOfAnInnerStruct) {
  OptionTable<Order> table({text_option("name", &Order::name, "TEXT", "Who orders")});
  table.add(basket_options(), &Order::basket);
  table.replace(integer_option("count", &Order::count, at_least(int64_t{1}), "Pieces", "3"));
  Order order;
  table.fill(order, json::parse(R"({"name": "Ada", "count": 4, "fruit": "pear"})"));
  EXPECT_EQ(order.name, "Ada");
  EXPECT_EQ(order.count, 4);
  EXPECT_EQ(order.basket.count, 3);
  EXPECT_EQ(order.basket.fruit, Fruit::pear);
  EXPECT_EQ(table.describe()[1]["name"], "count");  // in its old place
}

}  // namespace edm2
