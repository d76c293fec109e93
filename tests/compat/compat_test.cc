// A function built against the first public header runs on today's library and base without a
// rebuild.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "schemas/common_generated.h"
#include "sdk/host.h"
#include "tests/channel/events.h"
#include "tests/channel/rig.h"

namespace rtsup::testing {
namespace {

// The function, loaded as the host does it.
class OldFunction {
 public:
  OldFunction() : library_(::dlopen(RTSUP_COMPAT_FUNCTION, RTLD_NOW | RTLD_LOCAL)) {}
  ~OldFunction() {
    if (library_ != nullptr) {
      ::dlclose(library_);
    }
  }
  explicit operator bool() const { return library_ != nullptr; }
  template <typename Entry>
  Entry* entry(const char* name) const {
    return reinterpret_cast<Entry*>(::dlsym(library_, name));
  }

 private:
  void* library_;
};

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(CompatV1Test, TheFrozenFunctionHandlesEventsAndCallsTheBase) {
  Rig rig;
  std::string stored;
  rig.service.on_call = [&](broker::Call& call) {
    EXPECT_EQ(call.operation().name, "state.set");
    std::vector<std::byte> value(call.payload().size());
    call.payload().copy(0, value);
    stored = text_of(value);
    call.answer(Status::kOk, {}, {});
  };
  const OldFunction function;
  ASSERT_TRUE(function) << ::dlerror();  // NOLINT(concurrency-mt-unsafe): one thread so far
  ASSERT_TRUE(host::attach(rig.attach(1).release()).has_value());
  ASSERT_EQ(function.entry<int(void)>("rtsup_start")(), RTSUP_OK);
  ASSERT_EQ(host::ready(), Status::kOk);
  std::thread server([&] {
    EXPECT_EQ(host::serve(function.entry<int(const rtsup_event*, rtsup_reply*)>("rtsup_handle")),
              host::ServeEnd::kAsked);
  });

  Sink good;
  send_event(rig, Bytewise("eleven bytes"), good, "greet");
  EXPECT_EQ(good.wait(), Status::kOk);
  EXPECT_EQ(text_of(good.payload()), "caller/greet:eleven bytes");
  EXPECT_EQ(stored, "eleven bytes");

  Sink bad;
  send_event(rig, Bytewise(""), bad, "fail");
  EXPECT_EQ(bad.wait(), Status::kFailedPrecondition);
  EXPECT_EQ(flatbuffers::GetRoot<abi::Failure>(bad.metadata().data())->reason()->str(), "ASKED_TO");

  rig.on_shard([](broker::channel::Shard& shard) { shard.drain({1}); });
  server.join();
  function.entry<void(void)>("rtsup_destroy")();
  host::detach();
}

TEST(CompatV1Test, EveryEntryPointOfTheFrozenHeaderIsStillExported) {
  std::ifstream header(RTSUP_SOURCE_DIR "/tests/compat/v1/rtsup.h");
  const std::string text((std::istreambuf_iterator<char>(header)),
                         std::istreambuf_iterator<char>());
  ASSERT_FALSE(text.empty());
  size_t checked = 0;
  for (size_t at = text.find("RTSUP_API "); at != std::string::npos;
       at = text.find("RTSUP_API ", at + 1)) {
    const size_t open = text.find('(', at);
    size_t start = open;
    while (start > 0 && (std::isalnum(static_cast<unsigned char>(text[start - 1])) != 0 ||
                         text[start - 1] == '_')) {
      --start;
    }
    const std::string name = text.substr(start, open - start);
    const bool is_the_functions_own =
        name == "rtsup_start" || name == "rtsup_handle" || name == "rtsup_destroy";
    if (name.rfind("rtsup_", 0) == 0 && !is_the_functions_own) {
      EXPECT_NE(::dlsym(RTLD_DEFAULT, name.c_str()), nullptr) << name;
      ++checked;
    }
  }
  EXPECT_GE(checked, 16U);
}

}  // namespace
}  // namespace rtsup::testing
