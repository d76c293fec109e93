#include "manifest/policy_resolver.h"

#include <algorithm>
#include <optional>

#include "abi/call_facts.h"
#include "manifest/never.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kNetworkBoundary = "network-namespace";

std::optional<uint32_t> position(const Names& names, const Node& node, std::string_view what,
                                 Mistakes& mistakes) {
  const auto found = std::find(names.begin(), names.end(), node.text);
  if (found != names.end()) {
    return static_cast<uint32_t>(found - names.begin());
  }
  mistakes.add(node, "the manifest has no " + std::string(what) + ' ' + quote(node.text) +
                         suggestion(node.text, names));
  return std::nullopt;
}

constexpr std::string_view kServiceNames[] = {"state", "pubsub", "sequencer"};

PolicyResolver::Service service_of(ComponentType type) noexcept {
  switch (type) {
    case ComponentType::kPubsubMemory:
      return PolicyResolver::Service::kPubsub;
    case ComponentType::kSequencerSqlite:
      return PolicyResolver::Service::kSequencer;
    default:
      return PolicyResolver::Service::kState;
  }
}

ResourcePolicy resources_of(const PolicyDraft& draft) {
  ResourcePolicy resources;
  const auto take = [&draft](Setting setting, auto& value) {
    if (draft.at(setting).node != nullptr) {
      value = static_cast<std::remove_reference_t<decltype(value)>>(draft.at(setting).value);
    }
  };
  take(Setting::kMemory, resources.memory_bytes);
  take(Setting::kCpu, resources.cpu_thousandths);
  take(Setting::kProcesses, resources.processes);
  take(Setting::kOpenFiles, resources.open_files);
  take(Setting::kFileSize, resources.file_bytes_max);
  take(Setting::kCallsPerSecond, resources.calls_per_second);
  take(Setting::kEventTimeout, resources.event_timeout_ns);
  take(Setting::kPayload, resources.payload_bytes_max);
  return resources;
}

// Rules that nobody else may write (a kind's own) stay: what is told of by them would be refused.
abi::FilterSpec learning_filter(const std::vector<RuleDraft>& rules, const Groups& groups) {
  abi::FilterSpec filter;
  for (const RuleDraft& draft : rules) {
    if (draft.rule.errno_value != 0 || !never_reason(draft.rule).empty()) {
      filter.rules.push_back(draft.rule);
    }
  }
  if (!groups.contains(kRuntimeGroup)) {
    return filter;
  }
  const size_t own = filter.rules.size();
  for (const RuleDraft& draft : groups.rules(kRuntimeGroup)) {
    const bool is_answered =
        std::any_of(filter.rules.begin(), filter.rules.begin() + static_cast<ptrdiff_t>(own),
                    [&draft](const abi::FilterRule& rule) {
                      return rule.call == draft.rule.call && can_both_hold(rule, draft.rule);
                    });
    if (draft.rule.errno_value == 0 && abi::path_argument(draft.rule.call) < 0 && !is_answered) {
      filter.rules.push_back(draft.rule);
    }
  }
  return filter;
}

}  // namespace

void fill_filter(const std::vector<RuleDraft>& rules, abi::FilterSpec& filter,
                 std::vector<RuleNote>& notes) {
  for (const RuleDraft& draft : rules) {
    filter.rules.push_back(draft.rule);
    notes.push_back(draft.note);
  }
}

Policy PolicyResolver::resolve(PolicyDraft draft, const std::string& file_target) {
  Policy policy;
  resolve_filter(draft, policy.security);
  resolve_paths(draft, file_target, policy.security);
  resolve_services(draft, policy.services);
  policy.resources = resources_of(draft);
  const SettingDraft& network = draft.at(Setting::kNetwork);
  policy.security.host_network = network.value != 0;
  if (policy.security.host_network && std::find(names_.accept.begin(), names_.accept.end(),
                                                kNetworkBoundary) == names_.accept.end()) {
    mistakes_.add(*network.node,
                  "\"host\" gives up a boundary; the manifest's \"accept\" must name " +
                      quote(kNetworkBoundary));
  }
  return policy;
}

void PolicyResolver::resolve_filter(PolicyDraft& draft, SecurityPolicy& security) {
  if (groups_.contains(kRuntimeGroup)) {
    const std::vector<RuleDraft>& runtime = groups_.rules(kRuntimeGroup);
    draft.allowed.insert(draft.allowed.begin(), runtime.begin(), runtime.end());
  }
  const std::vector<RuleDraft> rules = join_rules(std::move(draft.allowed), mistakes_);
  fill_filter(rules, security.filter, security.notes);
  security.learning_filter = learning_filter(rules, groups_);
  const auto allows = [&rules](std::string_view name) {
    const int call = call_number(name);
    return std::any_of(rules.begin(), rules.end(), [call](const RuleDraft& rule) {
      return rule.rule.call == call && rule.rule.errno_value == 0;
    });
  };
  security.sockets = allows("socket");
  security.ipc = allows("shmget") || allows("semget") || allows("msgget") || allows("mq_open");
}

void PolicyResolver::resolve_paths(const PolicyDraft& draft, const std::string& file_target,
                                   SecurityPolicy& security) {
  for (size_t i = 0; i < draft.paths.size(); ++i) {
    const PathGrant& grant = draft.paths[i];
    if (grant.target == file_target) {
      mistakes_.add(*draft.path_nodes[i], quote(grant.target) + " is the function's own file");
    }
    const auto before =
        std::find_if(security.paths.begin(), security.paths.end(),
                     [&](const PathGrant& other) { return other.target == grant.target; });
    if (before == security.paths.end()) {
      security.paths.push_back(grant);
    } else if (before->path != grant.path || before->writable != grant.writable ||
               before->bytes_max != grant.bytes_max) {
      mistakes_.add(*draft.path_nodes[i], quote(grant.target) + " is given differently by " +
                                              before->origin + "; see \"as\"");
    }
  }
  // Mounts go in this order: what lies below comes after what it lies in.
  std::sort(security.paths.begin(), security.paths.end(),
            [](const PathGrant& a, const PathGrant& b) { return a.target < b.target; });
}

std::optional<uint32_t> PolicyResolver::component(const Node& name, Service service) {
  const auto found = position(names_.components, name, "component", mistakes_);
  if (!found) {
    return std::nullopt;
  }
  if (service_of(names_.types[*found]) != service) {
    mistakes_.add(name, quote(name.text) + " is no component of " +
                            std::string(kServiceNames[static_cast<size_t>(service)]));
    return std::nullopt;
  }
  return found;
}

void PolicyResolver::resolve_services(const PolicyDraft& draft, ServicePolicy& services) {
  for (const SequencerDraft& sequencer : draft.sequencer) {
    if (const auto position = component(*sequencer.component, Service::kSequencer)) {
      services.sequencer.push_back({.component = *position, .names = sequencer.names});
    }
  }
  for (const StateDraft& state : draft.state) {
    if (const auto position = component(*state.component, Service::kState)) {
      services.state.push_back({.component = *position,
                                .keys = state.keys,
                                .opcodes = state.opcodes,
                                .origin = origin_of(*state.component)});
    }
  }
  for (const PubsubDraft& pubsub : draft.pubsub) {
    if (const auto position = component(*pubsub.component, Service::kPubsub)) {
      services.pubsub.push_back({.component = *position,
                                 .publish = pubsub.publish,
                                 .subscribe = pubsub.subscribe,
                                 .origin = origin_of(*pubsub.component)});
    }
  }
  for (const Node* const node : draft.invoke) {
    const auto function = position(names_.functions, *node, "function", mistakes_);
    if (function && std::find(services.invoke.begin(), services.invoke.end(), *function) ==
                        services.invoke.end()) {
      services.invoke.push_back(*function);
    }
  }
}

}  // namespace rtsup::manifest
