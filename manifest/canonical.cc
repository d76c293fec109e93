#include "manifest/canonical.h"

#include <algorithm>
#include <vector>

namespace rtsup::manifest {
namespace {

// Text of any bytes, length first, so that no two policies have one canonical text.
std::string counted(const std::string& text) { return std::to_string(text.size()) + ':' + text; }

std::string rule_line(const abi::FilterRule& rule) {
  std::string line = "call " + std::to_string(rule.call);
  for (const abi::ArgumentTest& test : rule.tests) {
    line += ' ' + std::to_string(test.index) + '&' + std::to_string(test.mask) + '=' +
            std::to_string(test.value);
  }
  return line + " errno " + std::to_string(rule.errno_value);
}

std::string state_line(const StateGrant& grant, const Manifest& manifest) {
  std::string line = "state " + manifest.components[grant.component].name;
  std::vector<std::string> keys = grant.keys;
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    line += ' ' + counted(key);
  }
  std::vector<uint16_t> opcodes = grant.opcodes;
  std::sort(opcodes.begin(), opcodes.end());
  for (const uint16_t opcode : opcodes) {
    line += ' ' + std::to_string(opcode);
  }
  return line;
}

std::string pubsub_line(const PubsubGrant& grant, const Manifest& manifest) {
  std::string line = "pubsub " + manifest.components[grant.component].name;
  for (const auto& [verb, patterns] :
       {std::pair(" publish", &grant.publish), std::pair(" subscribe", &grant.subscribe)}) {
    std::vector<std::string> sorted = *patterns;
    std::sort(sorted.begin(), sorted.end());
    for (const std::string& pattern : sorted) {
      line += verb + (' ' + counted(pattern));
    }
  }
  return line;
}

std::string resource_lines(const ResourcePolicy& resources) {
  return "memory " + std::to_string(resources.memory_bytes) + "\ncpu " +
         std::to_string(resources.cpu_thousandths) + "\nprocesses " +
         std::to_string(resources.processes) + "\nopen_files " +
         std::to_string(resources.open_files) + "\nfile_size " +
         std::to_string(resources.file_bytes_max) + "\ncalls_per_second " +
         std::to_string(resources.calls_per_second) + "\nevent_timeout " +
         std::to_string(resources.event_timeout_ns) + '\n' +
         // Only where it is said: policies from before it keep their digests.
         (resources.payload_bytes_max == 0
              ? std::string()
              : "payload " + std::to_string(resources.payload_bytes_max) + '\n');
}

}  // namespace

std::string canonical_text(const Policy& policy, const Manifest& manifest) {
  // Rules are sorted already (join_rules), grants of services stand in any order.
  std::string text = "rtsup policy 1\n";
  for (const abi::FilterRule& rule : policy.security.filter.rules) {
    text += rule_line(rule) + '\n';
  }
  text += policy.security.host_network ? "network host\n" : "network none\n";
  std::vector<std::string> lines;
  for (const PathGrant& grant : policy.security.paths) {
    lines.push_back((grant.writable ? "write " : "read ") + counted(grant.path) + ' ' +
                    counted(grant.target) + ' ' + std::to_string(grant.bytes_max));
  }
  for (const StateGrant& grant : policy.services.state) {
    lines.push_back(state_line(grant, manifest));
  }
  for (const PubsubGrant& grant : policy.services.pubsub) {
    lines.push_back(pubsub_line(grant, manifest));
  }
  for (const SequencerGrant& grant : policy.services.sequencer) {
    for (const std::string& name : grant.names) {
      lines.push_back("sequencer " + manifest.components[grant.component].name + ' ' +
                      counted(name));
    }
  }
  for (const uint32_t function : policy.services.invoke) {
    lines.push_back("invoke " + manifest.functions[function].name);
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) {
    text += line + '\n';
  }
  return text + resource_lines(policy.resources);
}

}  // namespace rtsup::manifest
