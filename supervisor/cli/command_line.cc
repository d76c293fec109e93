#include "supervisor/cli/command_line.h"

#include <charconv>
#include <CLI/CLI.hpp>
#include <sstream>

#include "supervisor/exit_code.h"

namespace rtsup::cli {
namespace {

constexpr const char* kAbout =
    "rtsup runs functions, each in a sandbox of its own, on one base that gives them state,\n"
    "calls to each other and more through shared memory.\n\n"
    "  rtsup start examples/shop/manifest.json      run it, until Ctrl-C\n"
    "  rtsup invoke cart --method add --data '...'  call a function of what runs\n"
    "  rtsup ps                                     see how it is";

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 the function failed, 2 usage, 3 manifest or policy wrong, 4 not running,\n"
    "5 a boundary can not be enforced, 6 denied, 7 deadline.\n"
    "Run folders are below $RTSUP_RUN_DIR (default /run/rtsup, or $XDG_RUNTIME_DIR/rtsup),\n"
    "state below $RTSUP_STATE_DIR (default /var/lib/rtsup, or $XDG_STATE_HOME/rtsup).";

void add_start(CLI::App& app, Options& options) {
  CLI::App* const start =
      app.add_subcommand("start", "Run what a manifest describes, until stopped");
  start->add_option("manifest", options.manifest, "The manifest")->type_name("FILE")->required();
  start->add_flag("-d,--detach", options.detach,
                  "Return once all functions are READY, and leave the base running");
  start->callback([&options] { options.verb = Verb::kStart; });
}

void add_timeout(CLI::App& command, Options& options, const char* about, const char* otherwise) {
  command.add_option("--timeout", options.timeout, about)
      ->type_name("TIME")
      ->default_str(otherwise)
      ->check([](const std::string& text) {
        return parse_duration(text) == 0 ? "expected a time of at most 1h, such as 250ms, 5s or 2m"
                                         : "";
      });
}

void add_control(CLI::App& app, Options& options) {
  CLI::App* const stop = app.add_subcommand("stop", "Stop it in order; or sweep up after a crash");
  stop->callback([&options] { options.verb = Verb::kStop; });

  CLI::App* const restart = app.add_subcommand(
      "restart", "Start a function afresh, with its file as it is now; manifest and policies stay");
  restart->add_option("function", options.function, "The function")
      ->type_name("FUNCTION")
      ->required();
  restart->callback([&options] { options.verb = Verb::kRestart; });

  CLI::App* const upgrade =
      app.add_subcommand("upgrade", "Replace the broker by the one installed now; functions go on");
  add_timeout(*upgrade, options, "How long calls under way may take to end: 250ms, 5s, 2m", "10s");
  upgrade->callback([&options] { options.verb = Verb::kUpgrade; });

  CLI::App* const ps = app.add_subcommand("ps", "Show functions, their states, causes and use");
  ps->add_flag("--json", options.json, "As JSON, for programs (docs/formats/control.md)");
  ps->callback([&options] { options.verb = Verb::kPs; });
}

void add_invoke(CLI::App& app, Options& options) {
  CLI::App* const invoke = app.add_subcommand(
      "invoke",
      "Call a function; its answer goes to standard output, its status to standard error");
  invoke->add_option("function", options.function, "The function")
      ->type_name("FUNCTION")
      ->required();
  CLI::Option* const data =
      invoke->add_option("--data", options.data, "What to send")->type_name("TEXT");
  invoke->add_option("--file", options.file, "Send what is in this file; - is standard input")
      ->type_name("FILE")
      ->excludes(data);
  invoke->add_option("--method", options.method, "What the function reads as event.method")
      ->type_name("NAME");
  invoke->add_option("--content-type", options.content_type, "Of what is sent")->type_name("TYPE");
  add_timeout(*invoke, options,
              "How long to wait: 250ms, 5s, 2m; at most the event_timeout of its policy", "5s");
  invoke->callback([&options] { options.verb = Verb::kInvoke; });
}

void add_logs(CLI::App& app, Options& options) {
  CLI::App* const logs =
      app.add_subcommand("logs", "Show what functions wrote to standard output and error, escaped");
  logs->add_option("function", options.function, "Only this function; all otherwise")
      ->type_name("FUNCTION");
  logs->add_flag("-f,--follow", options.follow, "Go on as more is written, until the base stops");
  logs->callback([&options] { options.verb = Verb::kLogs; });
}

void add_why(CLI::App& app, Options& options) {
  constexpr uint32_t kLastMax = 100'000;
  CLI::App* const why = app.add_subcommand(
      "why", "Show what functions were denied, and the line of policy that would allow it");
  why->add_option("function", options.function, "Only this function; all otherwise")
      ->type_name("FUNCTION");
  CLI::Option* const all = why->add_flag("--all", options.all, "All that is on record");
  why->add_option("--last", options.last, "So many of each function, the latest last")
      ->type_name("COUNT")
      ->default_str("1")
      ->check(CLI::Range(1U, kLastMax))
      ->excludes(all);
  why->add_flag("--json", options.json, "As JSON, for programs (docs/formats/denials.md)");
  why->callback([&options] { options.verb = Verb::kWhy; });
}

void add_config(CLI::App& app, Options& options) {
  CLI::App* const config =
      app.add_subcommand("config", "Show and change the configuration of functions while they run");
  config->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, Verb verb) {
    CLI::App* const command = config->add_subcommand(name, about);
    command->add_option("function", options.function, "The function")
        ->type_name("FUNCTION")
        ->required();
    command->callback([&options, verb] { options.verb = verb; });
    return command;
  };
  CLI::App* const get =
      add("get", "Show one value, or all with where they come from", Verb::kConfigGet);
  get->add_option("name", options.setting, "Only this value")->type_name("NAME");
  CLI::App* const set = add("set", "Give a value; it stays until it is unset", Verb::kConfigSet);
  set->add_option("name", options.setting, "Its name")->type_name("NAME")->required();
  set->add_option("value", options.value, "The value")->type_name("VALUE")->required();
  CLI::App* const unset = add(
      "unset", "Take a value away that was set; the manifest's counts again", Verb::kConfigUnset);
  unset->add_option("name", options.setting, "Its name")->type_name("NAME")->required();
}

void add_checks(CLI::App& app, Options& options) {
  CLI::App* const validate =
      app.add_subcommand("validate", "Find every mistake in a manifest and its policies");
  validate->add_option("manifest", options.manifest, "The manifest")->type_name("FILE")->required();
  validate->callback([&options] { options.verb = Verb::kValidate; });

  CLI::App* const schema = app.add_subcommand("schema", "Print a JSON Schema, for editors");
  schema->add_option("what", options.schema, "manifest or policy")
      ->type_name("WHAT")
      ->required()
      ->check(CLI::IsMember({"manifest", "policy"}));
  schema->callback([&options] { options.verb = Verb::kSchema; });

  CLI::App* const doctor =
      app.add_subcommand("doctor", "Say which boundaries this machine can enforce, and how");
  doctor->add_flag("--json", options.json, "As JSON, for programs");
  doctor->callback([&options] { options.verb = Verb::kDoctor; });

  app.add_subcommand("version", "Print the version")->callback([&options] {
    options.verb = Verb::kVersion;
  });
}

std::string check_threshold(const std::string& text) {
  return parse_tenths(text) ? "" : "expected a number from 0 to 10 such as 3.5";
}

void add_policy_check(CLI::App& policy, Options& options) {
  CLI::App* const check = policy.add_subcommand(
      "check", "Find mistakes and dangerous lines, give a score; or answer questions");
  check->add_option("policy", options.policy.policies, "Policies: files, or rtsup:NAME")
      ->type_name("POLICY")
      ->required();
  check
      ->add_option("--call", options.policy.calls,
                   "May it make this system call: 'socket(AF_INET, SOCK_STREAM)'")
      ->type_name("CALL")
      ->expected(1)
      ->take_all();
  check
      ->add_option("--api", options.policy.apis,
                   "May it make this call of the base: 'state.get store cart/7'")
      ->type_name("CALL")
      ->expected(1)
      ->take_all();
  check->add_option("--resource", options.policy.resources, "May it use so much: 'memory 80MiB'")
      ->type_name("AMOUNT")
      ->expected(1)
      ->take_all();
  check
      ->add_option("--trace", options.policy.trace,
                   "Which calls of a recorded trace, as strace writes it, would be denied")
      ->type_name("FILE");
  check
      ->add_option("--threshold", options.policy.threshold,
                   "Exit with 1 when the score is higher: 0 to 10, such as 3.5")
      ->type_name("SCORE")
      ->check(check_threshold);
  check->add_flag("--json", options.json, "As JSON, for programs (docs/formats/policy-tools.md)");
  check->callback([&options] { options.verb = Verb::kPolicyCheck; });
}

void add_policy_show(CLI::App& policy, Options& options) {
  CLI::App* const show = policy.add_subcommand(
      "show", "Show a policy with all that it extends, each line with where it comes from");
  show->add_option("policy", options.policy.policies, "A policy: a file, or rtsup:NAME")
      ->type_name("POLICY")
      ->required()
      ->expected(1);
  show->add_flag("--explain", options.policy.explain,
                 "What its filter costs: size, instructions a call, calls answered by a bitmap");
  show->add_flag("--json", options.json, "As JSON, for programs (docs/formats/policy-tools.md)");
  show->callback([&options] { options.verb = Verb::kPolicyShow; });
}

void add_policy_diff(CLI::App& policy, Options& options) {
  CLI::App* const diff = policy.add_subcommand(
      "diff",
      "Show what the second policy allows more (+) and less (-); exit with 1 if it differs");
  diff->add_option("policy", options.policy.policies, "Two policies: files, or rtsup:NAME")
      ->type_name("POLICY")
      ->required()
      ->expected(2);
  diff->add_flag("--json", options.json, "As JSON, for programs (docs/formats/policy-tools.md)");
  diff->callback([&options] { options.verb = Verb::kPolicyDiff; });
}

void add_policy_test(CLI::App& policy, Options& options) {
  CLI::App* const test = policy.add_subcommand(
      "test",
      "Check what a policy answers against a file of expectations; exit with 1 on a failure");
  test->add_option("file", options.policy.policies,
                   "The expectations (docs/formats/policy-tools.md)")
      ->type_name("FILE")
      ->required()
      ->expected(1);
  test->add_flag("--json", options.json, "As JSON, for programs (docs/formats/policy-tools.md)");
  test->callback([&options] { options.verb = Verb::kPolicyTest; });
}

void add_policy_convert(CLI::App& policy, Options& options) {
  CLI::App* const convert = policy.add_subcommand(
      "convert",
      "Turn a container's seccomp profile into a policy, or back; what can not be said is denied\n"
      "and listed on standard error");
  convert->add_option("file", options.policy.policies, "The profile, or the policy")
      ->type_name("FILE")
      ->required()
      ->expected(1);
  CLI::Option_group* const which = convert->add_option_group("direction");
  which->add_flag("--from-oci", options.policy.from_oci,
                  "FILE is an OCI or Docker profile: print a policy");
  which->add_flag("--to-oci", options.policy.to_oci, "FILE is a policy: print an OCI profile");
  which->require_option(1);
  convert->callback([&options] { options.verb = Verb::kPolicyConvert; });
}

std::string check_span(const std::string& text) {
  return parse_duration(text) == 0 ? "expected a time of at most 60m, such as 30s or 10m" : "";
}

void add_policy_complain(CLI::App& policy, Options& options) {
  CLI::App* const complain = policy.add_subcommand(
      "complain",
      "For a while, make and record the system calls that a running function's policy denies,\n"
      "rather than ending it; what no policy can allow still ends it");
  complain->add_option("function", options.function, "The function")
      ->type_name("FUNCTION")
      ->required();
  CLI::Option_group* const how = complain->add_option_group("how");
  how->add_option("--for", options.policy.span, "For how long: 30s, 10m, at most 60m")
      ->type_name("TIME")
      ->check(check_span);
  how->add_flag("--off", options.policy.off, "Hold it to its policy again, now");
  how->require_option(1);
  complain->callback([&options] { options.verb = Verb::kPolicyComplain; });
}

void add_policy_learn(CLI::App& policy, Options& options) {
  CLI::App* const learn = policy.add_subcommand(
      "learn",
      "Restart a running function so that all it does is seen, and propose a policy of that;\n"
      "several runs add up. Without --for and --command: propose from what is on record");
  learn->add_option("function", options.function, "The function")
      ->type_name("FUNCTION")
      ->required();
  CLI::Option* const span = learn->add_option(
      "--for", options.policy.span, "Watch its traffic for so long: 30s, 10m, at most 60m");
  span->type_name("TIME")->check(check_span);
  learn
      ->add_option("--command", options.policy.command,
                   "Watch it while this command of the shell runs, at most 60m")
      ->type_name("COMMAND")
      ->excludes(span);
  learn
      ->add_option("--write", options.policy.write,
                   "Write the proposed policy to this file, and show the difference")
      ->type_name("FILE");
  learn->add_flag("--fresh", options.policy.fresh, "Forget what was learned before");
  learn->callback([&options] { options.verb = Verb::kPolicyLearn; });
}

void add_policy(CLI::App& app, Options& options) {
  CLI::App* const policy =
      app.add_subcommand("policy", "Check, show, compare, test, convert and learn policies");
  policy->require_subcommand(1);
  add_policy_check(*policy, options);
  add_policy_show(*policy, options);
  add_policy_diff(*policy, options);
  add_policy_test(*policy, options);
  add_policy_convert(*policy, options);
  add_policy_complain(*policy, options);
  add_policy_learn(*policy, options);
}

void add_bench(CLI::App& app, Options& options) {
  CLI::App* const bench =
      app.add_subcommand("bench", "Measure calls on this machine; see rtsup bench ipc --help");
  bench->add_option("what", options.bench, "ipc: calls from a function to its base, and others")
      ->type_name("WHAT")
      ->required()
      ->check(CLI::IsMember({"ipc"}));
  bench->callback([&options] { options.verb = Verb::kBench; });
}

// What stands behind `rtsup bench ipc` belongs to the program that measures: its --help, too.
int split_off_arguments(int argc, const char* const* argv, Options& options) {
  constexpr int kOwnWords = 3;
  if (argc <= kOwnWords || std::string_view(argv[1]) != "bench") {
    return argc;
  }
  options.arguments.assign(argv + kOwnWords, argv + argc);
  return kOwnWords;
}

Ending explain(CLI::App& app, const std::string& topic) {
  if (topic.empty()) {
    // Not app.help(): that is the help of the command that was parsed, which is "help".
    const auto mode = CLI::AppFormatMode::Normal;
    return {.code = 0, .output = app.get_formatter()->make_help(&app, "rtsup", mode), .error = {}};
  }
  for (const CLI::App* const command :
       app.get_subcommands([&topic](const CLI::App* one) { return one->get_name() == topic; })) {
    return {.code = 0, .output = command->help(), .error = {}};
  }
  return {
      .code = static_cast<int>(supervisor::ExitCode::kUsage),
      .output = {},
      .error = "There is no command \"" + topic + "\". Run with --help for more information.\n"};
}

}  // namespace

std::optional<uint32_t> parse_tenths(const std::string& text) {
  const size_t point = text.find('.');
  const std::string digits = text.substr(0, point) + (point == std::string::npos ? "0" : "") +
                             (point == std::string::npos ? "" : text.substr(point + 1));
  uint32_t tenths = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), tenths);
  const bool one_digit = point == std::string::npos || (point > 0 && point + 2 == text.size());
  const bool whole = !text.empty() && error == std::errc() && end == digits.data() + digits.size();
  return one_digit && whole && tenths <= 100 ? std::optional(tenths) : std::nullopt;
}

uint64_t parse_duration(const std::string& text) {
  constexpr uint64_t kHourNs = 3'600'000'000'000;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  const uint64_t scale = unit == "ms"  ? 1'000'000
                         : unit == "s" ? 1'000'000'000
                         : unit == "m" ? 60'000'000'000
                                       : 0;
  if (error != std::errc() || scale == 0 || number > kHourNs / scale) {
    return 0;
  }
  return number * scale;
}

std::variant<Options, Ending> parse_command_line(int argc, const char* const* argv) {
  Options options;
  CLI::App app(kAbout, "rtsup");
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help, or that of a command");
  // Before or behind the command.
  app.fallthrough();
  app.add_option("-n,--name", options.name, "Which application is meant, when more than one runs")
      ->type_name("NAME")
      ->envname("RTSUP_NAME");
  add_start(app, options);
  add_control(app, options);
  add_invoke(app, options);
  add_config(app, options);
  add_logs(app, options);
  add_why(app, options);
  add_checks(app, options);
  add_policy(app, options);
  add_bench(app, options);
  app.footer(kFooter);  // after the commands: they would inherit it
  // `rtsup help` and `rtsup help start` are what fingers type.
  std::string topic;
  CLI::App* const help = app.add_subcommand("help", "Print this help, or that of a command");
  help->add_option("command", topic, "The command")->type_name("COMMAND");
  try {
    app.parse(split_off_arguments(argc, argv, options), argv);
    options.has_data = app.get_subcommand("invoke")->count("--data") > 0;
    if (help->parsed()) {
      return explain(app, topic);
    }
  } catch (const CLI::ParseError& error) {
    std::ostringstream output;
    std::ostringstream mistake;
    const bool asked = app.exit(error, output, mistake) == 0;
    const auto code = asked ? supervisor::ExitCode::kOk : supervisor::ExitCode::kUsage;
    return Ending{.code = static_cast<int>(code), .output = output.str(), .error = mistake.str()};
  }
  return options;
}

}  // namespace rtsup::cli
