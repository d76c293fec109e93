// The file of a state.sqlite or sequencer.sqlite component: opened, checked and brought to the
// present schema before anything uses it.
//   application_id  0x52545353 ("RTSS"), of sequences 0x52545351 ("RTSQ"); another one, or tables
//   without one, belong to somebody else
//   user_version    the schema: an older file is migrated step by step, each in its own
//   transaction; a newer one is refused journal_mode    WAL, synchronous FULL: a COMMIT that
//   returned is on the disk
// Errors:  kDatabaseDamaged (no database, torn pages), kDatabaseForeign, kDatabaseNewer (number =
// its schema), kDatabaseOlder (likewise), kDatabase
//          (number = sqlite3 code).
// Threads: creating thread; see database.h.
#pragma once

#include <string>

#include "broker/components/sqlite/database.h"

namespace rtsup::broker::sqlite {

inline constexpr int64_t kSchemaVersion = 2;
// That of a state file which has values in parts: it comes with the first one, so that a base of
// before can go on with a file that has none.
inline constexpr int64_t kLongSchemaVersion = 3;
inline constexpr int64_t kApplicationId = 0x52545353;
inline constexpr int64_t kSequenceApplicationId = 0x52545351;

// kNo: another process still writes it, with its own schema: one that is older is refused.
enum class Migrate : bool { kNo, kYes };
// For writing: creates or migrates the file.
Result<Database> open_state_file(const std::string& path, const std::string& vfs,
                                 Migrate migrate = Migrate::kYes);
Result<Database> open_sequence_file(const std::string& path, const std::string& vfs,
                                    Migrate migrate = Migrate::kYes);
// From kSchemaVersion to kLongSchemaVersion; nothing when it is there. Not within a transaction.
Result<void> migrate_to_long_values(Database& database);
// A second connection, for reading only; the file has been opened for writing before.
Result<Database> open_state_reader(const std::string& path, const std::string& vfs);

}  // namespace rtsup::broker::sqlite
