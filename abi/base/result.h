// Result<T>: a value or an Error. A class of our own, because GCC 12 drops [[nodiscard]] on an
// alias. Use only what std::expected has as well (value(), error(), transform, and_then; not map,
// map_error), so that the later switch is this file.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "abi/base/error.h"

namespace rtsup {

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  // Implicit by design: `return Error{...};` and `return value;` both read as what they mean.
  // NOLINTNEXTLINE(google-explicit-constructor): see above
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, error) {}
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
  // NOLINTNEXTLINE(google-explicit-constructor): as above
  Result(Error error) : tl::expected<void, Error>(tl::unexpect, error) {}
};

}  // namespace rtsup

// Returns the error of a Result<void> or Result<T> expression from the current function.
#define RTSUP_TRY(expression)                                      \
  do {                                                             \
    if (auto rtsup_try_result = (expression); !rtsup_try_result) { \
      return rtsup_try_result.error();                             \
    }                                                              \
  } while (false)

#define RTSUP_CONCAT_INNER(a, b) a##b
#define RTSUP_CONCAT(a, b) RTSUP_CONCAT_INNER(a, b)

// RTSUP_ASSIGN(auto fd, open(...)): declares the value, or returns the error.
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration and a name can not stand in parentheses
#define RTSUP_ASSIGN(declaration, expression) \
  RTSUP_ASSIGN_INNER(RTSUP_CONCAT(rtsup_result_, __LINE__), declaration, expression)
#define RTSUP_ASSIGN_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                               \
  if (!temporary) {                                            \
    return temporary.error();                                  \
  }                                                            \
  declaration = std::move(*temporary)
// NOLINTEND(bugprone-macro-parentheses)
