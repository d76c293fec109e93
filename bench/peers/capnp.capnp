# A stored value, asked for by its key: what the Cap'n Proto peer serves.
@0xb4b0f1c93d7a2e51;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("rtsup::bench");

interface Store {
  get @0 (key :Text) -> (value :Data);
}
