#include "broker/link/component_set.h"

#include <charconv>

#include "broker/components/memory/memory_bus.h"
#include "broker/components/memory/memory_store.h"
#include "broker/components/sqlite/sqlite_store.h"
#include "broker/link/log.h"
#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

using StorePtr = std::unique_ptr<StateStore>;

Error refuse(Status status) noexcept { return {.status = status, .step = Step::kComponent}; }

// "bytes_max": what the component may hold; absent = the default.
Result<size_t> bytes_max(const plan::Component& component) {
  size_t bytes = MemoryStore::kBytesMaxDefault;
  if (component.settings() == nullptr) {
    return bytes;
  }
  for (const auto* setting : *component.settings()) {
    const char* begin = setting->value()->c_str();
    const char* end = begin + setting->value()->size();
    const auto [stop, error] = std::from_chars(begin, end, bytes);
    if (setting->name()->str() != "bytes_max" || error != std::errc() || stop != end) {
      return refuse(Status::kInvalidArgument);
    }
  }
  return bytes;
}

Result<StorePtr> open_memory(const plan::Component& component,
                             const ComponentSet::Services& services) {
  RTSUP_ASSIGN(const size_t bytes, bytes_max(component));
  return StorePtr(std::make_unique<MemoryStore>(bytes, services.timers, services.clock));
}

// A plain file name: what the manifest says has been checked, but this process keeps its own word
// about where it writes.
bool is_file_name(const flatbuffers::String* file) {
  return file != nullptr && file->size() > 0 && file->str() != "." && file->str() != ".." &&
         file->str().find('/') == std::string::npos && file->str().find('\0') == std::string::npos;
}

Result<StorePtr> open_sqlite(const plan::Component& component, const std::string& folder,
                             const ComponentSet::Services& services) {
  if (!is_file_name(component.file())) {
    return refuse(Status::kInvalidArgument);
  }
  const SqliteOptions options{
      .path = folder + "/" + component.file()->str(), .vfs = {}, .queue = {}};
  RTSUP_ASSIGN(StorePtr store, SqliteStore::create(options, services.post, services.clock));
  return store;
}

}  // namespace

Result<ComponentSet::Component> ComponentSet::open_one(const plan::BasePlan& plan, uint32_t index,
                                                       const std::string& folder,
                                                       const Services& services) {
  const plan::Component& component = *(*plan.components())[index];
  const std::string type = component.type()->str();
  Component made;
  if (type == "state.memory") {
    RTSUP_ASSIGN(made.store, open_memory(component, services));
  } else if (type == "state.sqlite") {
    RTSUP_ASSIGN(made.store, open_sqlite(component, folder, services));
  } else if (type == "pubsub.memory") {
    made.bus = std::make_unique<MemoryBus>(plan.functions()->size(), services.timers);
  } else {
    return refuse(Status::kUnimplemented);
  }
  return made;
}

Result<ComponentSet> ComponentSet::open(const plan::BasePlan& plan, const std::string& state_folder,
                                        Services services) {
  ComponentSet set;
  for (uint32_t i = 0; i < plan.components()->size(); ++i) {
    auto made = open_one(plan, i, state_folder, services);
    if (!made) {
      // Which one: an Error has no room for names. The error itself is said by who ends the
      // process.
      const plan::Component& component = *(*plan.components())[i];
      log_error("component " + component.name()->str() + " (" + component.type()->str() +
                ") can not be opened");
      return made.error();
    }
    set.components_.push_back(std::move(*made));
  }
  return set;
}

std::vector<StateStore*> ComponentSet::stores() const {
  std::vector<StateStore*> stores;
  stores.reserve(components_.size());
  for (const Component& component : components_) {
    stores.push_back(component.store.get());
  }
  return stores;
}

std::vector<PubsubBus*> ComponentSet::buses() const {
  std::vector<PubsubBus*> buses;
  buses.reserve(components_.size());
  for (const Component& component : components_) {
    buses.push_back(component.bus.get());
  }
  return buses;
}

void ComponentSet::close() {
  for (const Component& component : components_) {
    if (component.store != nullptr) {
      component.store->close();
    }
  }
}

}  // namespace rtsup::broker
