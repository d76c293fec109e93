// load: the manifest at a path, with every mistake printed to standard error.
#pragma once

#include <optional>
#include <string>

#include "manifest/model.h"

namespace rtsup::cli {

// Nothing when it can not be used; the mistakes are on standard error then.
std::optional<manifest::Manifest> load(const std::string& path);

}  // namespace rtsup::cli
