#include "abi/operation.h"

#include <gtest/gtest.h>

namespace rtsup::abi {
namespace {

TEST(OperationTest, RowsAscendByOpcodeSoThatLookupBySearchIsRight) {
  uint16_t last = 0;
  for (const Operation& row : operations()) {
    EXPECT_GT(row.opcode, last);
    last = row.opcode;
    EXPECT_EQ(find_operation(row.opcode), &row);
    EXPECT_EQ(find_operation(row.name), &row);
  }
}

TEST(OperationTest, StateGetIsARepeatableCallDecidedOnItsKey) {
  const Operation* row = find_operation(op::kStateGet);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->name, "state.get");
  EXPECT_EQ(row->grant, Grant::kFunction);
  EXPECT_EQ(row->target_kind, TargetKind::kKey);
  EXPECT_TRUE(row->has_component);
  EXPECT_TRUE(row->idempotent);
  EXPECT_EQ(row->metadata_max, 4096U);
}

TEST(OperationTest, UnknownOpcodesAreNotFound) {
  EXPECT_EQ(find_operation(uint16_t{0}), nullptr);
  EXPECT_EQ(find_operation(uint16_t{0xFFFF}), nullptr);
  EXPECT_EQ(find_operation("state.nothing"), nullptr);
}

}  // namespace
}  // namespace rtsup::abi
