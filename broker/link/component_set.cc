#include "broker/link/component_set.h"

#include <charconv>

#include "broker/components/memory/memory_bus.h"
#include "broker/components/memory/memory_store.h"
#include "broker/components/sqlite/sqlite_sequencer.h"
#include "broker/components/sqlite/sqlite_store.h"
#include "broker/link/log.h"
#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

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

// A plain file name: what the manifest says has been checked, but this process keeps its own word
// about where it writes.
bool is_file_name(const flatbuffers::String* file) {
  return file != nullptr && file->size() > 0 && file->str() != "." && file->str() != ".." &&
         file->str().find('/') == std::string::npos && file->str().find('\0') == std::string::npos;
}

// Where the component's database is; nothing when the plan names no file.
Result<std::string> database_path(const plan::Component& component, const std::string& folder) {
  if (!is_file_name(component.file())) {
    return refuse(Status::kInvalidArgument);
  }
  return folder + "/" + component.file()->str();
}

}  // namespace

Result<ComponentSet::Row> ComponentSet::open_one(const plan::BasePlan& plan, uint32_t index,
                                                 const std::string& folder,
                                                 const Services& services) {
  const plan::Component& component = *(*plan.components())[index];
  const std::string type = component.type()->str();
  const auto migrate = services.is_successor ? sqlite::Migrate::kNo : sqlite::Migrate::kYes;
  Row row;
  if (type == "state.memory") {
    RTSUP_ASSIGN(const size_t bytes, bytes_max(component));
    auto store = std::make_unique<MemoryStore>(bytes, services.timers, services.clock);
    row.movable = store.get();
    row.store = std::move(store);
    return row;
  }
  if (type == "state.sqlite") {
    RTSUP_ASSIGN(std::string path, database_path(component, folder));
    RTSUP_ASSIGN(
        row.store,
        SqliteStore::create({.path = std::move(path), .vfs = {}, .queue = {}, .migrate = migrate},
                            services.post, services.clock));
    return row;
  }
  if (type == "sequencer.sqlite") {
    RTSUP_ASSIGN(const std::string path, database_path(component, folder));
    RTSUP_ASSIGN(row.sequencer, SqliteSequencer::create(path, {}, services.post, migrate));
    return row;
  }
  if (type == "pubsub.memory") {
    auto bus = std::make_unique<MemoryBus>(plan.functions()->size(), services.timers);
    row.movable = bus.get();
    row.bus = std::move(bus);
    return row;
  }
  return refuse(Status::kUnimplemented);
}

Result<ComponentSet> ComponentSet::open(const plan::BasePlan& plan, const std::string& state_folder,
                                        const std::function<Services(uint32_t)>& services_of) {
  ComponentSet set;
  for (uint32_t i = 0; i < plan.components()->size(); ++i) {
    auto row = open_one(plan, i, state_folder, services_of(i));
    if (!row) {
      // Which one: an Error has no room for names. The error itself is said by who ends the
      // process.
      const plan::Component& component = *(*plan.components())[i];
      log_error("component " + component.name()->str() + " (" + component.type()->str() +
                ") can not be opened");
      return row.error();
    }
    set.rows_.push_back(std::move(*row));
  }
  return set;
}

std::vector<StateStore*> ComponentSet::stores() const {
  std::vector<StateStore*> stores;
  stores.reserve(rows_.size());
  for (const Row& row : rows_) {
    stores.push_back(row.store.get());
  }
  return stores;
}

std::vector<PubsubBus*> ComponentSet::buses() const {
  std::vector<PubsubBus*> buses;
  buses.reserve(rows_.size());
  for (const Row& row : rows_) {
    buses.push_back(row.bus.get());
  }
  return buses;
}

void ComponentSet::close() {
  for (const Row& row : rows_) {
    if (row.store != nullptr) {
      row.store->close();
    } else if (row.sequencer != nullptr) {
      row.sequencer->close();
    }
  }
}

}  // namespace rtsup::broker
