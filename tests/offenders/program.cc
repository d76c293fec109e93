// The offender as a program, for sandboxes that are not rtsup's: "act NAME VICTIM" as arguments.
// Every descriptor from 3 on is what the sandbox left open.
#include <cstdio>
#include <string>

#include "tests/offenders/act.h"

int main(int count, char** words) {
  std::string order;
  for (int i = 1; i < count; ++i) {
    order.append(i == 1 ? "" : " ").append(words[i]);
  }
  // At once: another program may take this one's place.
  const std::string said(rtsup::offenders::carry_out(order));
  return std::puts(said.c_str()) < 0 ? 1 : 0;
}
