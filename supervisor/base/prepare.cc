#include "supervisor/base/prepare.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "supervisor/logs/log.h"

namespace rtsup::supervisor {
namespace {

BaseFailure failed(ExitCode code, const std::string& what, const Error& error) {
  return {.code = code, .text = what + ": " + describe(error)};
}

std::string boundary_text(const BoundaryVerdict& verdict) {
  std::string text = "this machine can not enforce what the manifest asks for:";
  for (const sys::BoundaryFact& fact : verdict.missing) {
    text += "\n  " + fact.name + ": " + fact.text;
  }
  return text +
         "\nMend that (`rtsup doctor` says more), or give a boundary up by its name in the "
         "manifest's \"accept\".";
}

// The tree `rtsup-NAME`. Nothing where every resource boundary was given up and no group can be
// made.
Result<std::optional<sys::CgroupTree>> make_cgroups(const BaseInputs& inputs,
                                                    const BoundaryVerdict& verdict) {
  RTSUP_ASSIGN(const sys::CgroupMounts mounts, sys::find_cgroup_mounts());
  const std::string& name = inputs.manifest.name;
  for (const std::string& folder : sys::CgroupTree::folders_of(name, mounts)) {
    RTSUP_TRY(inputs.run.made().add_cgroup(folder));
  }
  auto tree = sys::CgroupTree::create(name, mounts);
  if (!tree) {
    if (verdict.accepts("cgroup-memory") && verdict.accepts("cgroup-cpu") &&
        verdict.accepts("cgroup-processes")) {
      return std::optional<sys::CgroupTree>();
    }
    return tree.error();
  }
  return std::optional<sys::CgroupTree>(std::move(*tree));
}

Result<IdSpace> make_ids(const BoundaryVerdict& verdict) {
  IdSpace ids;
  auto space = sys::UserNamespace::create();
  if (space) {
    ids.space = std::move(*space);
    return ids;
  }
  if (verdict.accepts("user-namespace")) {
    return ids;
  }
  return space.error();
}

// The table of ids, kept in the state folder so that a function finds its files again after a
// restart.
Result<UidTable> make_uids(const BaseInputs& inputs, const IdSpace& ids) {
  const std::string path = inputs.state_folder + "/uids";
  UidTable table;
  if (const auto text = sys::read_file(path)) {
    RTSUP_ASSIGN(table, UidTable::parse(*text));
  } else if (text.error().status != Status::kNotFound) {
    return text.error();
  }
  std::vector<std::string> functions;
  for (const manifest::Function& function : inputs.manifest.functions) {
    functions.push_back(function.name);
  }
  RTSUP_ASSIGN(const bool changed, table.assign(functions, ids.count()));
  if (changed) {
    RTSUP_TRY(sys::replace_file(path, table.format(), 0600));
  }
  return table;
}

// The broker's folder belongs to the broker's id, and what lies in it as well: after a change of
// the range, too.
Result<void> give_data_folder(const std::string& folder, const IdSpace& ids) {
  RTSUP_TRY(sys::make_directories(folder, 0700));
  if (ids.space) {
    return ids.space->give_folder(folder, kBrokerUid);
  }
  return ::geteuid() == 0
             ? sys::give_folder(folder, ids.host_uid(kBrokerUid), ids.host_gid(kBrokerUid))
             : Result<void>{};
}

Result<void> open_files(LaunchContext& context) {
  RTSUP_ASSIGN(context.launcher, sys::open_file(context.paths.launcher, O_PATH));
  RTSUP_ASSIGN(context.null_device, sys::open_file("/dev/null", O_RDWR));
  context.system_mounts = system_mounts();
  if (context.ids.fd() >= 0) {
    context.user_namespace_link = descriptor_name(context.ids.fd());
  }
  return {};
}

// Every function's file and filter, so that what can not work is told before anything runs.
std::optional<BaseFailure> check_functions(LaunchContext& context) {
  for (const manifest::Function& function : context.manifest.functions) {
    const auto opened = context.artifacts.open(function.file);
    if (const auto* const failure = std::get_if<ArtifactFailure>(&opened)) {
      return BaseFailure{.code = ExitCode::kManifest,
                         .text = "function " + function.name + ": " + failure->message};
    }
    const auto filter = context.filters.get(function.policy.digest, function.policy.security.filter,
                                            sys::DefaultAction::kNotify);
    if (!filter) {
      return failed(ExitCode::kManifest,
                    "function " + function.name + ": its policy " + function.policy.name +
                        " can not become a filter " + context.filters.difference(),
                    filter.error());
    }
  }
  return std::nullopt;
}

// Of what outlives the base: what functions were denied, and what was learned of them.
std::optional<BaseFailure> make_record_folders(PreparedBase& base,
                                               const std::string& state_folder) {
  base.denial_folder = state_folder + "/denials";
  base.learned_folder = state_folder + "/learned";
  for (const std::string& folder : {base.denial_folder, base.learned_folder}) {
    if (const auto made = sys::make_directories(folder, 0700); !made) {
      return failed(ExitCode::kFunctionFailed, "can not make the folder " + folder, made.error());
    }
  }
  return std::nullopt;
}

}  // namespace

std::variant<PreparedBase, BaseFailure> prepare_base(const BaseInputs& inputs) {
  PreparedBase base;
  base.boundaries = check_boundaries(sys::probe_boundaries(), inputs.manifest.accept);
  if (!base.boundaries.missing.empty()) {
    return BaseFailure{.code = ExitCode::kBoundary, .text = boundary_text(base.boundaries)};
  }
  auto ids = make_ids(base.boundaries);
  if (!ids) {
    return failed(ExitCode::kBoundary, "can not make the base's user namespace", ids.error());
  }
  if (const auto made = sys::make_directories(inputs.state_folder, 0700); !made) {
    return failed(ExitCode::kFunctionFailed, "can not make the state folder " + inputs.state_folder,
                  made.error());
  }
  auto uids = make_uids(inputs, *ids);
  if (!uids) {
    return failed(ExitCode::kFunctionFailed,
                  "can not use the table of ids " + inputs.state_folder + "/uids", uids.error());
  }
  base.data_folder = inputs.state_folder + "/data";
  if (const auto given = give_data_folder(base.data_folder, *ids); !given) {
    return failed(ExitCode::kFunctionFailed, "can not prepare the data folder " + base.data_folder,
                  given.error());
  }
  if (auto failure = make_record_folders(base, inputs.state_folder)) {
    return *failure;
  }
  auto cgroups = make_cgroups(inputs, base.boundaries);
  if (!cgroups) {
    return failed(ExitCode::kBoundary, "can not make the control groups", cgroups.error());
  }
  if (*cgroups && ids->space) {
    // Zygotes are the namespace's root, and no worker is.
    if (const auto admitted = (*cgroups)->admit_spawner(ids->host_uid(0)); !admitted) {
      return failed(ExitCode::kBoundary, "can not let zygotes use the control groups",
                    admitted.error());
    }
  }
  base.context = std::unique_ptr<LaunchContext>(
      new LaunchContext{.loop = inputs.loop,
                        .log = inputs.log,
                        .manifest = inputs.manifest,
                        .paths = inputs.paths,
                        .run = inputs.run.paths(),
                        .ids = std::move(*ids),
                        .uids = std::move(*uids),
                        .cgroups = std::move(*cgroups),
                        .filters = {},
                        .artifacts = {},
                        .system_mounts = {},
                        .launcher = {},
                        .null_device = {},
                        .relaxations = std::vector<Relaxation>(inputs.manifest.functions.size()),
                        .user_namespace_link = {}});
  std::optional<BaseFailure> failure;
  if (const auto opened = open_files(*base.context); !opened) {
    failure =
        failed(ExitCode::kFunctionFailed, "can not open " + inputs.paths.launcher, opened.error());
  } else {
    failure = check_functions(*base.context);
  }
  if (failure) {
    (void)release_base(base);  // what it leaves is on record for the next start
    return *failure;
  }
  return base;
}

Result<void> release_base(PreparedBase& base) {
  if (!base.context || !base.context->cgroups) {
    return {};
  }
  return base.context->cgroups->remove();
}

}  // namespace rtsup::supervisor
