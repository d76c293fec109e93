// What a function does with values in parts, by the public headers alone: they can not stand beside
// the base's own. With the transport that is set.
#pragma once

namespace rtsup::test {

void write_and_read_more_than_a_payload();
void end_as_the_callback_says();
void send_and_read_part_after_part();

}  // namespace rtsup::test
