#include "broker/components/sqlite/state_file.h"

#include <sqlite3.h>

#include <array>
#include <span>
#include <string>

namespace rtsup::broker::sqlite {
namespace {

// Migration i leads from schema i to i + 1. Never change one that was released.
constexpr std::array<const char*, kSchemaVersion> kMigrations = {
    // A rowid table: values may be large, and an index tree of them would be deep. etag: never 0.
    "CREATE TABLE state (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, etag INTEGER NOT NULL,"
    " expires_unix_ms INTEGER NOT NULL, content_type BLOB NOT NULL);"
    "PRAGMA application_id = 1381258067;",
    // For removing what has ended; holds only what can end.
    "CREATE INDEX state_ends ON state (expires_unix_ms) WHERE expires_unix_ms > 0;",
};
// Made when the first value in parts is begun (long_values.h). AUTOINCREMENT: no id comes twice.
constexpr const char* kLongMigration =
    "CREATE TABLE long_value (id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL,"
    " state INTEGER NOT NULL);"
    "CREATE INDEX long_value_state ON long_value (state);"
    "CREATE TABLE part (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL);";
static_assert(kApplicationId == 1381258067);
constexpr std::array<const char*, 1> kSequenceMigrations = {
    "CREATE TABLE sequence (name BLOB NOT NULL PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = 1381258065;",
};
static_assert(kSequenceApplicationId == 1381258065);

struct Format {
  int64_t application_id;
  std::span<const char* const> migrations;
  int64_t newest;  // that this build can read
  int64_t version() const noexcept { return static_cast<int64_t>(migrations.size()); }
};
constexpr Format kState{kApplicationId, kMigrations, kLongSchemaVersion};
constexpr Format kSequence{kSequenceApplicationId, kSequenceMigrations,
                           int64_t{kSequenceMigrations.size()}};

// quick_check reads the whole file; larger ones would hold up the start, and are checked page by
// page as they are read.
constexpr int64_t kCheckedBytesMax = 64 << 20;

Error refusal(Step step, Status status, int64_t number) noexcept {
  return {.status = status, .step = step, .number = number};
}

Result<void> check_owner(Database& database, const Format& format) {
  RTSUP_ASSIGN(const int64_t tables, database.query_number("SELECT count(*) FROM sqlite_schema"));
  RTSUP_ASSIGN(const int64_t owner, database.query_number("PRAGMA application_id"));
  RTSUP_ASSIGN(const int64_t version, database.query_number("PRAGMA user_version"));
  const bool is_new = tables == 0 && owner == 0 && version == 0;
  if (!is_new && owner != format.application_id) {
    return refusal(Step::kDatabaseForeign, Status::kFailedPrecondition, owner);
  }
  if (version > format.newest || version < 0) {
    return refusal(Step::kDatabaseNewer, Status::kFailedPrecondition, version);
  }
  return {};
}

Result<void> check_pages(Database& database) {
  RTSUP_ASSIGN(const int64_t pages, database.query_number("PRAGMA page_count"));
  RTSUP_ASSIGN(const int64_t page_size, database.query_number("PRAGMA page_size"));
  if (pages * page_size > kCheckedBytesMax) {
    return {};
  }
  RTSUP_ASSIGN(const std::string verdict, database.query_text("PRAGMA quick_check(1)"));
  if (verdict != "ok") {
    return refusal(Step::kDatabaseDamaged, Status::kDataLoss, SQLITE_CORRUPT);
  }
  return {};
}

Result<void> migrate(Database& database, const Format& format, Migrate how) {
  RTSUP_ASSIGN(int64_t version, database.query_number("PRAGMA user_version"));
  if (how == Migrate::kNo && version < format.version()) {
    return refusal(Step::kDatabaseOlder, Status::kFailedPrecondition, version);
  }
  for (; version < format.version(); ++version) {
    const std::string script = std::string("BEGIN IMMEDIATE;") +
                               format.migrations[static_cast<size_t>(version)] +
                               "PRAGMA user_version = " + std::to_string(version + 1) + ";COMMIT";
    RTSUP_TRY(database.execute(script.c_str()));
  }
  return {};
}

// No temporary files, no memory mapping (an I/O error would be a SIGBUS), and nothing in the file
// can make sqlite run code.
constexpr const char* kSettings =
    "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF; PRAGMA "
    "cell_size_check = ON;"
    "PRAGMA cache_size = -8192;";

Result<Database> open_file(const std::string& path, const std::string& vfs, const Format& format,
                           Migrate how) {
  RTSUP_ASSIGN(Database database, Database::open(path, vfs));
  RTSUP_TRY(database.execute(kSettings));
  RTSUP_TRY(check_owner(database, format));
  RTSUP_TRY(database.execute("PRAGMA journal_mode = WAL"));
  RTSUP_TRY(database.execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216"));
  database.keep_wal();
  RTSUP_TRY(check_pages(database));
  RTSUP_TRY(migrate(database, format, how));
  return database;
}

}  // namespace

Result<Database> open_state_file(const std::string& path, const std::string& vfs, Migrate migrate) {
  return open_file(path, vfs, kState, migrate);
}

Result<Database> open_sequence_file(const std::string& path, const std::string& vfs,
                                    Migrate migrate) {
  return open_file(path, vfs, kSequence, migrate);
}

Result<void> migrate_to_long_values(Database& database) {
  RTSUP_ASSIGN(const int64_t version, database.query_number("PRAGMA user_version"));
  if (version >= kLongSchemaVersion) {
    return {};
  }
  const std::string script = std::string("BEGIN IMMEDIATE;") + kLongMigration +
                             "PRAGMA user_version = " + std::to_string(kLongSchemaVersion) +
                             ";COMMIT";
  const auto made = database.execute(script.c_str());
  if (!made && database.in_transaction()) {
    (void)database.run("ROLLBACK");
  }
  return made;
}

Result<Database> open_state_reader(const std::string& path, const std::string& vfs) {
  RTSUP_ASSIGN(Database database, Database::open(path, vfs));
  RTSUP_TRY(database.execute(kSettings));
  RTSUP_TRY(database.execute("PRAGMA query_only = ON"));
  database.keep_wal();
  // Opens log and index now: afterwards no file is opened any more.
  RTSUP_TRY(database.query_number("SELECT count(*) FROM sqlite_schema"));
  return database;
}

}  // namespace rtsup::broker::sqlite
