// What ASan does by default in every target: blocks come and go by the million here, and a
// quarantine of 256 MB costs more page faults than it finds stale pointers.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=8:malloc_context_size=4:max_malloc_fill_size=0";
}
