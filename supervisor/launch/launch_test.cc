// The pure parts of a launch: what plans say, what files are, which ids functions get, what a look
// from outside finds.
#include <elf.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "schemas/plan_generated.h"
#include "supervisor/launch/artifact.h"
#include "supervisor/launch/base_plan.h"
#include "supervisor/launch/launch_plan.h"
#include "supervisor/launch/read_back.h"
#include "supervisor/launch/uid_table.h"

namespace rtsup::supervisor {
namespace {

// ---- plans ------------------------------------------------------------------------------------

TEST(LaunchPlan, SaysWhatItWasGiven) {
  const sock_filter filter[] = {{.code = 6, .jt = 0, .jf = 0, .k = 0x7fff0000}};
  LaunchInput input{.name = "cart.0"};
  input.arguments = {"rtsup-worker"};
  input.cgroup_fds = {20, 21};
  input.status_fd = 30;
  input.go_fd = 31;
  input.uid = 100;
  input.mounts = {{.source = "/usr/lib", .target = "/usr/lib", .executable = true, .landlock = 13},
                  {.kind = launch::MountKind::File, .target = "/app/libcart.so", .fd = 40}};
  input.descriptors = {{.from = 10, .to = 0}, {.from = 30, .to = 4}};
  input.filter = filter;
  const std::vector<std::byte> bytes = build_launch_plan(input);

  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  ASSERT_TRUE(launch::VerifyLaunchPlanBuffer(verifier));
  const launch::LaunchPlan* const plan = launch::GetLaunchPlan(bytes.data());
  EXPECT_EQ(plan->name()->str(), "cart.0");
  EXPECT_EQ(plan->uid(), 100U);
  EXPECT_EQ(plan->gid(), 100U);
  EXPECT_EQ(plan->mounts()->size(), 2U);
  EXPECT_EQ(plan->mounts()->Get(1)->fd(), 40);
  ASSERT_EQ(plan->landlock()->size(), 1U);
  EXPECT_EQ(plan->landlock()->Get(0)->path()->str(), "/usr/lib");
  ASSERT_EQ(plan->filter()->size(), sizeof filter);
  EXPECT_EQ(std::memcmp(plan->filter()->data(), filter, sizeof filter), 0);
  EXPECT_EQ(inherited_fds(input), (std::vector<int>{10, 20, 21, 30, 31, 40}));
}

TEST(LaunchPlan, VariablesThatActOnTheLinkerNeverReachTheHost) {
  const auto environment = function_environment({{"COLOR", "red"},
                                                 {"LD_PRELOAD", "/app/evil.so"},
                                                 {"LD_AUDIT", "x"},
                                                 {"GLIBC_TUNABLES", "x"},
                                                 {"RTSUP_SESSION_FD", "9"}});
  EXPECT_EQ(environment, (std::vector<std::string>{"COLOR=red", "RTSUP_SESSION_FD=3",
                                                   "LD_LIBRARY_PATH=/rtsup/lib"}));
}

TEST(LaunchPlan, AWritableSizeIsATmpfsAndNotTheHostsFolder) {
  manifest::SecurityPolicy policy;
  policy.paths.resize(2);
  policy.paths[0].path = policy.paths[0].target = "/srv/models";
  policy.paths[1].path = "/x/scratch";
  policy.paths[1].target = "/scratch";
  policy.paths[1].writable = true;
  policy.paths[1].bytes_max = 1 << 20;
  const auto mounts = policy_mounts(policy);
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].kind, launch::MountKind::Bind);
  EXPECT_FALSE(mounts[0].writable);
  EXPECT_EQ(mounts[1].kind, launch::MountKind::Tmpfs);
  EXPECT_EQ(mounts[1].bytes, 1U << 20);
  EXPECT_EQ(mounts[1].source, "");
}

TEST(BasePlan, CarriesTheServiceBoundary) {
  manifest::Manifest manifest;
  manifest.name = "shop";
  manifest.tenant = "acme";
  manifest.components = {
      {.name = "store", .type = manifest::ComponentType::kStateSqlite, .file = "shop.db"}};
  manifest::Function cart;
  cart.name = "cart";
  cart.policy.services.state.resize(1);
  cart.policy.services.state[0].keys = {"cart/*"};
  cart.policy.services.state[0].opcodes = {0x0101};
  cart.policy.services.invoke = {0};
  cart.policy.resources.calls_per_second = 7;
  manifest.functions = {cart};
  const std::vector<std::byte> bytes = build_base_plan(manifest, 1);

  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  ASSERT_TRUE(plan::VerifyBasePlanBuffer(verifier));
  const plan::BasePlan* const plan = plan::GetBasePlan(bytes.data());
  EXPECT_EQ(plan->tenant()->str(), "acme");
  EXPECT_EQ(plan->components()->Get(0)->type()->str(), "state.sqlite");
  const plan::Function* const function = plan->functions()->Get(0);
  EXPECT_EQ(function->state()->Get(0)->keys()->Get(0)->str(), "cart/*");
  EXPECT_EQ(function->state()->Get(0)->opcodes()->Get(0), 0x0101);
  EXPECT_EQ(function->calls_per_second(), 7U);
}

// ---- artifacts --------------------------------------------------------------------------------

std::vector<std::byte> elf(uint16_t type, uint16_t machine, bool interpreter) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = machine == EM_386 ? ELFCLASS32 : ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = type;
  header.e_machine = machine;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = interpreter ? PT_INTERP : PT_LOAD;
  std::vector<std::byte> bytes(sizeof header + sizeof segment);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &segment, sizeof segment);
  return bytes;
}

std::string refusal(std::span<const std::byte> file) {
  const auto checked = check_elf(file);
  const auto* const failure = std::get_if<ArtifactFailure>(&checked);
  return failure == nullptr ? "" : failure->message;
}

TEST(Artifact, TellsProgramsFromSharedObjects) {
  EXPECT_EQ(std::get<ArtifactShape>(check_elf(elf(ET_DYN, EM_X86_64, false))),
            ArtifactShape::kSharedObject);
  EXPECT_EQ(std::get<ArtifactShape>(check_elf(elf(ET_DYN, EM_X86_64, true))),
            ArtifactShape::kProgram);
  EXPECT_EQ(std::get<ArtifactShape>(check_elf(elf(ET_EXEC, EM_X86_64, false))),
            ArtifactShape::kProgram);
}

TEST(Artifact, SaysWhatIsWrongWithTheRest) {
  EXPECT_NE(refusal(elf(ET_DYN, EM_AARCH64, false)).find("AArch64"), std::string::npos);
  EXPECT_NE(refusal(elf(ET_DYN, EM_386, false)).find("i386"), std::string::npos);
  EXPECT_NE(refusal(elf(ET_REL, EM_X86_64, false)).find("-shared"), std::string::npos);
  EXPECT_NE(refusal(std::as_bytes(std::span("#!/bin/sh"))).find("no ELF"), std::string::npos);
  auto cut = elf(ET_DYN, EM_X86_64, false);
  cut.resize(sizeof(Elf64_Ehdr));
  EXPECT_NE(refusal(cut).find("damaged"), std::string::npos);
}

struct ArtifactCacheTest : ::testing::Test {
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rtsup-artifact-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    path = folder + "/libcart.so";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(std::span<const std::byte> bytes) const {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  std::string folder, path;
  ArtifactCache cache;
};

TEST_F(ArtifactCacheTest, AFileReplacedInPlaceIsNoticed) {
  write(elf(ET_DYN, EM_X86_64, false));
  const auto first = std::get<std::shared_ptr<const Artifact>>(cache.open(path));
  EXPECT_EQ(std::get<std::shared_ptr<const Artifact>>(cache.open(path)), first)
      << "read again without need";
  write(elf(ET_DYN, EM_X86_64, true));
  const auto second = std::get<std::shared_ptr<const Artifact>>(cache.open(path));
  EXPECT_NE(second->digest, first->digest);
  EXPECT_EQ(second->shape, ArtifactShape::kProgram);
  EXPECT_EQ(first->name, "libcart.so");
  EXPECT_EQ(first->digest.size(), 64U);
}

TEST_F(ArtifactCacheTest, FoldersPipesAndMissingFilesAreRefused) {
  EXPECT_NE(std::get<ArtifactFailure>(cache.open(path)).message.find("No such file"),
            std::string::npos);
  std::filesystem::create_directory(path);
  EXPECT_NE(std::get<ArtifactFailure>(cache.open(path)).message.find("not a regular file"),
            std::string::npos);
}

// ---- ids --------------------------------------------------------------------------------------

TEST(UidTable, KeepsIdsAcrossRestartsAndNeverReusesOne) {
  UidTable table;
  EXPECT_TRUE(table.assign({"cart", "pricing"}, 65536).value());
  auto again = UidTable::parse(table.format()).value();
  EXPECT_FALSE(again.assign({"pricing", "cart"}, 65536).value());
  EXPECT_TRUE(again.assign({"added", "pricing"}, 65536).value());
  EXPECT_EQ(again.uid("cart"), kFirstFunctionUid);
  EXPECT_EQ(again.uid("pricing"), kFirstFunctionUid + 1);
  EXPECT_EQ(again.uid("added"), kFirstFunctionUid + 2);
}

TEST(UidTable, RefusesWhatIsNoTableAndARangeThatIsFull) {
  EXPECT_FALSE(UidTable::parse("rtsup-uids 2\n"));
  EXPECT_FALSE(UidTable::parse("rtsup-uids 1\ncart 0\n"));
  EXPECT_FALSE(UidTable::parse("rtsup-uids 1\n../x 100\n"));
  EXPECT_FALSE(UidTable::parse("rtsup-uids 1\ncart 100\ncart 101\n"));
  EXPECT_FALSE(UidTable::parse("rtsup-uids 1\ncart 4294967296\n"));
  UidTable table;
  EXPECT_FALSE(table.assign({"a", "b"}, kFirstFunctionUid + 1));
}

// ---- read-back --------------------------------------------------------------------------------

constexpr std::string_view kStatus =
    "Name:\trtsup-worker\nUid:\t500\t500\t500\t500\nGid:\t500\t500\t500\t500\nGroups:\t "
    "\nThreads:\t1\n"
    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
    "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_"
    "filters:\t0\n";

std::string with(std::string_view from, std::string_view to) {
  std::string status(kStatus);
  return status.replace(status.find(from), from.size(), to);
}

TEST(ReadBack, AcceptsAProcessAsPlannedAndNamesEachDifference) {
  const ExpectedProcess expected{.host_uid = 500, .host_gid = 500};
  EXPECT_EQ(check_status(kStatus, expected), std::nullopt);
  EXPECT_TRUE(
      check_status(with("Uid:\t500\t500", "Uid:\t500\t0"), expected).value().starts_with("Uid"));
  EXPECT_TRUE(check_status(with("CapEff:\t0000000000000000", "CapEff:\t0000000000000001"), expected)
                  .value()
                  .starts_with("CapEff"));
  EXPECT_TRUE(check_status(with("NoNewPrivs:\t1", "NoNewPrivs:\t0"), expected)
                  .value()
                  .starts_with("NoNewPrivs"));
  EXPECT_TRUE(
      check_status(with("Groups:\t ", "Groups:\t27 "), expected).value().starts_with("Groups"));
  EXPECT_TRUE(
      check_status(with("Threads:\t1", "Threads:\t2"), expected).value().starts_with("Threads"));
}

TEST(ReadBack, DescriptorsMustBeExactlyThePlannedOnes) {
  ExpectedProcess expected;
  expected.descriptors = {{0, "/dev/null"}, {3, "socket:[77]"}, {6, "/memfd:*"}};
  const std::map<int, std::string> good = {
      {0, "/dev/null"}, {3, "socket:[77]"}, {6, "/memfd:rtsup-plan (deleted)"}};
  EXPECT_EQ(check_descriptors(good, expected), std::nullopt);
  auto more = good;
  more[7] = "/etc/shadow";
  EXPECT_NE(check_descriptors(more, expected).value().find("descriptor 7 is open"),
            std::string::npos);
  auto other = good;
  other[3] = "socket:[78]";
  EXPECT_NE(check_descriptors(other, expected).value().find("descriptor 3"), std::string::npos);
  auto fewer = good;
  fewer.erase(0);
  EXPECT_NE(check_descriptors(fewer, expected).value().find("descriptor 0 is closed"),
            std::string::npos);
}

TEST(ReadBack, TheControlGroupMustBeItsOwn) {
  const ExpectedProcess expected{.cgroups = {{"memory", "/a/rtsup-shop/cart.0"},
                                             {"cpuacct", "/rtsup-shop/cart.0"},
                                             {"", "/b/rtsup-shop/cart.0"}}};
  const std::string memory = "4:memory:/a/rtsup-shop/cart.0\n";
  const std::string cpu = "3:cpu,cpuacct:/rtsup-shop/cart.0\n";
  const std::string unified = "0::/b/rtsup-shop/cart.0\n";
  EXPECT_EQ(check_cgroup(memory + cpu + unified, expected), std::nullopt);
  EXPECT_EQ(check_cgroup("4:memory:/a/rtsup-shop/cart.01\n" + cpu + unified, expected),
            "control group of memory is /a/rtsup-shop/cart.01, planned /a/rtsup-shop/cart.0");
  EXPECT_EQ(check_cgroup(memory + unified, expected),
            "control group of cpuacct is missing, planned /rtsup-shop/cart.0");
  EXPECT_EQ(check_cgroup(memory + cpu + "0::/\n", expected),
            "control group of cgroup v2 is /, planned /b/rtsup-shop/cart.0");
  EXPECT_NE(check_cgroup("garbage\n\n:::\n", expected), std::nullopt);
}

}  // namespace
}  // namespace rtsup::supervisor
