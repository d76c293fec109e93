// Units, suggestions, system calls and constants: what words in a manifest mean.
#include <asm/unistd_64.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "manifest/boundaries.h"
#include "manifest/load.h"
#include "manifest/never.h"
#include "manifest/suggest.h"
#include "manifest/syscalls.h"
#include "manifest/units.h"

namespace rtsup::manifest {
namespace {

TEST(UnitsTest, BytesArePowersOf1024AndWhole) {
  EXPECT_EQ(parse_bytes("0B"), 0U);
  EXPECT_EQ(parse_bytes("64MiB"), 64U << 20);
  EXPECT_EQ(parse_bytes("2TiB"), 2ULL << 40);
  for (const char* const wrong : {"", "64", "64MB", "64M", "1.5MiB", "-1MiB", " 1MiB", "1 MiB",
                                  "MiB", "16777216TiB", "99999999999999999999B", "0x10B", "+1B"}) {
    EXPECT_EQ(parse_bytes(wrong), std::nullopt) << wrong;
  }
}

TEST(UnitsTest, TimesAreWholeAndHaveAUnit) {
  EXPECT_EQ(parse_duration_ns("100us"), 100'000U);
  EXPECT_EQ(parse_duration_ns("500ms"), 500'000'000U);
  EXPECT_EQ(parse_duration_ns("5s"), 5'000'000'000U);
  EXPECT_EQ(parse_duration_ns("2m"), 120'000'000'000U);
  EXPECT_EQ(parse_duration_ns("1h"), 3'600'000'000'000U);
  for (const char* const wrong : {"", "5", "5 s", "5sec", "1.5s", "5124096h"}) {
    EXPECT_EQ(parse_duration_ns(wrong), std::nullopt) << wrong;
  }
}

TEST(SuggestTest, DistanceCountsASwapOnce) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("read", "raed"), 1U);
  EXPECT_EQ(edit_distance("get", "gett"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance(std::string(65, 'a'), "a"), 65U);
}

TEST(SuggestTest, SuggestsWhatIsNearAndListsWhatIsFew) {
  EXPECT_EQ(suggestion("memroy", {"cpu", "memory"}), "; did you mean \"memory\"?");
  EXPECT_EQ(suggestion("zzzzz", {"cpu", "memory"}), "; expected one of \"cpu\", \"memory\"");
  EXPECT_EQ(suggestion("zzzzz", {"cpu"}), "; expected \"cpu\"");
  EXPECT_EQ(suggestion("zzzzz", {}), "");
  EXPECT_EQ(suggestion("zzzzz", Names(13, "cpu")), "");
}

TEST(SyscallsTest, NumbersAreTheKernels) {
#define RTSUP_SYSCALL(name, number) EXPECT_EQ(number, __NR_##name);
#include "manifest/syscalls_x86_64.inc"
#undef RTSUP_SYSCALL
  EXPECT_EQ(newest_call(), __NR_set_mempolicy_home_node);
  EXPECT_EQ(call_number("openat"), __NR_openat);
  EXPECT_EQ(call_name(__NR_openat), "openat");
  EXPECT_EQ(call_number("open at"), -1);
  EXPECT_EQ(call_name(400), "");
}

TEST(SyscallsTest, EveryPrototypeIsOfACallAndWellFormed) {
#define RTSUP_PROTOTYPE(call, arguments)                                 \
  {                                                                      \
    const std::vector<Argument> list = arguments_of(call_number(#call)); \
    EXPECT_NE(call_number(#call), -1) << #call;                          \
    EXPECT_GE(list.size(), 1U) << #call;                                 \
    EXPECT_LE(list.size(), 6U) << #call;                                 \
    for (const Argument& argument : list) {                              \
      EXPECT_NE(argument.name, "") << #call;                             \
    }                                                                    \
  }
#include "manifest/syscall_arguments.inc"
#undef RTSUP_PROTOTYPE
  const std::vector<Argument> openat = arguments_of(__NR_openat);
  ASSERT_EQ(openat.size(), 4U);
  EXPECT_EQ(openat[1].width, Argument::Width::kPointer);
  EXPECT_EQ(openat[2].name, "flags");
  EXPECT_EQ(openat[2].index, 2);
  EXPECT_EQ(openat[2].width, Argument::Width::k32);
  EXPECT_EQ(arguments_of(__NR_mmap)[2].width, Argument::Width::k64);
}

TEST(SyscallsTest, ValuesAreConstantsNumbersAndTheirUnion) {
  EXPECT_EQ(parse_value("PROT_READ|PROT_EXEC"), uint64_t{PROT_READ | PROT_EXEC});
  EXPECT_EQ(parse_value("0x10|1"), 0x11U);
  EXPECT_EQ(parse_value("AT_FDCWD"), static_cast<uint64_t>(-100));
  for (const char* const wrong : {"", "|", "PROT_READ|", "PROT_REED", "0x", "1 ", "-1"}) {
    EXPECT_EQ(parse_value(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(errno_number("ENOSYS"), 38);
  EXPECT_EQ(errno_number("ENONE"), 0);
}

TEST(NeverTest, AnErrnoIsAlwaysFine) {
  EXPECT_NE(never_reason({.call = __NR_clone3, .tests = {}}), "");
  EXPECT_EQ(never_reason({.call = __NR_clone3, .tests = {}, .errno_value = 38}), "");
  EXPECT_EQ(never_reason({.call = __NR_read, .tests = {}}), "");
}

TEST(NeverTest, AFunctionMakesNoFilesThatItCouldExecute) {
  const abi::FilterRule rule{.call = __NR_memfd_create, .tests = {}};
  EXPECT_NE(never_reason(rule), "");
  EXPECT_EQ(never_reason(rule, FilterOf::kDaemon), "");
}

TEST(NeverTest, HighBitsDoNotHideAnAdvice) {
  const abi::ArgumentTest high{.index = 2, .mask = 0xFFFFFFFF00000000, .value = 0};
  EXPECT_NE(never_reason({.call = __NR_madvise, .tests = {high}}), "");
  const abi::ArgumentTest remove{.index = 2, .mask = ~0ULL, .value = MADV_REMOVE};
  EXPECT_NE(never_reason({.call = __NR_madvise, .tests = {remove}}), "");
}

TEST(SchemaTextTest, TheManifestsHoldsThePolicys) {
  const std::string manifest(schema_text("manifest"));
  EXPECT_THAT(manifest, ::testing::HasSubstr("urn:rtsup:policy.schema.json"));
  EXPECT_THAT(manifest, ::testing::Not(::testing::HasSubstr("\"policy.schema.json\"")));
  EXPECT_THAT(std::string(schema_text("policy")), ::testing::HasSubstr("\"title\": \"Policy\""));
  EXPECT_EQ(schema_text("other"), "");
}

TEST(SchemaTextTest, ItListsExactlyTheBoundariesThatCanBeAccepted) {
  const std::string_view manifest = schema_text("manifest");
  for (const Boundary& boundary : kBoundaries) {
    const std::string quoted_name = '"' + std::string(boundary.name) + '"';
    EXPECT_EQ(manifest.find(quoted_name) != std::string_view::npos, boundary.acceptable)
        << boundary.name;
  }
}

}  // namespace
}  // namespace rtsup::manifest
