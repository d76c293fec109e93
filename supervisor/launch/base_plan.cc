#include "supervisor/launch/base_plan.h"

#include <span>
#include <string>

#include "manifest/base_memory.h"
#include "schemas/plan_generated.h"

namespace rtsup::supervisor {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

const char* type_name(manifest::ComponentType type) noexcept {
  switch (type) {
    case manifest::ComponentType::kStateMemory:
      return "state.memory";
    case manifest::ComponentType::kStateSqlite:
      return "state.sqlite";
    case manifest::ComponentType::kPubsubMemory:
      return "pubsub.memory";
    case manifest::ComponentType::kSequencerSqlite:
      return "sequencer.sqlite";
  }
  return "";
}

Offset<plan::Function> add_function(FlatBufferBuilder& builder,
                                    const manifest::Function& function) {
  std::vector<Offset<plan::StateGrant>> grants;
  for (const manifest::StateGrant& grant : function.policy.services.state) {
    const auto keys = builder.CreateVectorOfStrings(grant.keys);
    const auto opcodes = builder.CreateVector(grant.opcodes);
    grants.push_back(plan::CreateStateGrant(builder, grant.component, keys, opcodes));
  }
  std::vector<Offset<plan::PubsubGrant>> topics;
  for (const manifest::PubsubGrant& grant : function.policy.services.pubsub) {
    const auto publish = builder.CreateVectorOfStrings(grant.publish);
    const auto subscribe = builder.CreateVectorOfStrings(grant.subscribe);
    topics.push_back(plan::CreatePubsubGrant(builder, grant.component, publish, subscribe));
  }
  std::vector<Offset<plan::SequencerGrant>> sequencers;
  for (const manifest::SequencerGrant& grant : function.policy.services.sequencer) {
    const auto names = builder.CreateVectorOfStrings(grant.names);
    sequencers.push_back(plan::CreateSequencerGrant(builder, grant.component, names));
  }
  std::vector<Offset<plan::Setting>> config;
  for (const auto& [name, value] : function.config) {
    config.push_back(plan::CreateSettingDirect(builder, name.c_str(), value.c_str()));
  }
  const manifest::ResourcePolicy& resources = function.policy.resources;
  return plan::CreateFunctionDirect(builder, function.name.c_str(), &grants,
                                    &function.policy.services.invoke, resources.calls_per_second,
                                    resources.event_timeout_ns, function.concurrency, &topics,
                                    &config, &sequencers, manifest::payload_bytes_max(resources));
}

}  // namespace

std::vector<std::byte> build_base_plan(const manifest::Manifest& manifest, uint32_t spin_cpus) {
  FlatBufferBuilder builder(4096);
  std::vector<Offset<plan::Component>> components;
  for (const manifest::Component& component : manifest.components) {
    std::vector<Offset<plan::Setting>> settings;
    if (component.type == manifest::ComponentType::kStateMemory) {
      settings.push_back(plan::CreateSettingDirect(builder, "bytes_max",
                                                   std::to_string(component.bytes_max).c_str()));
    }
    components.push_back(
        plan::CreateComponentDirect(builder, component.name.c_str(), type_name(component.type),
                                    component.file.c_str(), &settings, component.lease));
  }
  std::vector<Offset<plan::Function>> functions;
  for (const manifest::Function& function : manifest.functions) {
    functions.push_back(add_function(builder, function));
  }
  plan::FinishBasePlanBuffer(
      builder, plan::CreateBasePlanDirect(
                   builder, 1, manifest.tenant.c_str(), manifest.name.c_str(), &components,
                   &functions, spin_cpus, manifest::base_memory_of(manifest).functions,
                   static_cast<uint32_t>(manifest.payload_bytes_max), manifest.shards));
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace rtsup::supervisor
