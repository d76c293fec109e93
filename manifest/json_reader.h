// read_json: JSON with // and /* */ comments, into a Document with the place of every key and
// value.
// Errors:  false -> at least one Mistake was added. A syntax error ends the reading; keys that
//          stand twice do not, so that all of them are reported at once. Depth, number of values
//          and length of strings are limited (limits.h).
// Threads: any.
#pragma once

#include <memory>
#include <string>

#include "manifest/json_node.h"
#include "manifest/mistakes.h"

namespace rtsup::manifest {

// The paths of a Document are filled in as given. nullptr when the text is not JSON; a document
// with double keys is returned (with the first of each), so that the reader can go on and find the
// other mistakes.
std::unique_ptr<Document> read_json(const std::string& path, const std::string& label,
                                    const std::string& text, Mistakes& mistakes);

}  // namespace rtsup::manifest
