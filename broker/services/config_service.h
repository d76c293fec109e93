// ConfigService: config.get, set and list. Each function's values: those of the plan (the
// manifest), with the operator's changes in their place. A change counts once it is on the disk,
// and is answered once every session's page shows it; while the disk is busy, changes wait and go
// together.
// Owns:    the values. File, pages and builder must outlive it.
// Errors:  FUNCTION_UNKNOWN, CONFIG_NAME_INVALID, CONFIG_VALUE_INVALID, STORE_FULL (nothing
//          changed), OUTCOME_UNKNOWN (the disk failed while the file was replaced).
// Threads: the shard's only. get() allocates nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "broker/components/config_file/config_file.h"
#include "broker/core/answer.h"
#include "broker/core/session_page.h"

namespace rtsup::broker {

class ConfigService {
 public:
  // One function's part of the manifest.
  struct Function {
    std::string name;
    std::map<std::string, std::string, std::less<>> values;
  };
  ConfigService(std::vector<Function> functions, ConfigFile& file, Pages& pages,
                AnswerBuilder& builder);
  ConfigService(const ConfigService&) = delete;
  ConfigService& operator=(const ConfigService&) = delete;

  void handle(Call& call);
  // Changes that are not answered yet.
  size_t pending() const noexcept { return waiting_.size() + saving_.size(); }
  bool has_values(FunctionIndex function) const { return !rows_[function.value].values.empty(); }
  void fill(FunctionIndex function, SessionPage& page);
  // What the broker before has put on the disk since the file was opened. Before any session.
  void replace(ConfigChanges changes);

 private:
  struct Value {
    ValueRef bytes;
    bool by_operator = false;
  };
  struct Row {
    Function manifest;
    std::map<std::string, Value, std::less<>> values;  // as they count now
  };
  struct Change {
    Call* call = nullptr;
    FunctionIndex function;
    std::string name;
    std::string value;
    bool unset = false;
    bool existed = false;  // what ConfigSetResponse says
  };

  void get(Call& call);
  void set(Call& call);
  void list(Call& call);
  abi::Reason read_change(Call& call, Change& change) const;
  abi::Reason check_room(const Change& change) const;
  const Row* find(std::string_view function) const noexcept;
  // Why nothing was saved, or kNone.
  abi::Reason start_saving();
  void saved(const Result<void>& outcome);
  void apply_changes();
  void answer_all(abi::Reason reason);
  void refresh(Row& row);

  std::vector<Row> rows_;
  ConfigFile& file_;
  Pages& pages_;
  AnswerBuilder& builder_;
  ConfigChanges changes_;    // on the disk
  ConfigChanges candidate_;  // on its way there
  std::vector<Change> waiting_;
  std::vector<Change> saving_;
  std::vector<PageValue> page_values_;
};

}  // namespace rtsup::broker
