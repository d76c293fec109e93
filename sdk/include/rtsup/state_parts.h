/* state_parts.h: values of any length, in parts; since 1.3, part of the C ABI of <rtsup/rtsup.h>
 * and under its rules. A value has at most 1 GiB this way, 64 MiB with rtsup_state_set().
 *
 * A base before 1.3 answers RTSUP_UNIMPLEMENTED, UNKNOWN_OPERATION; a component that keeps no
 * values in parts PARTS_UNSUPPORTED. Reading needs the right of state.get, writing that of
 * state.set. */
#ifndef RTSUP_STATE_PARTS_H
#define RTSUP_STATE_PARTS_H

#include <rtsup/rtsup.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a part at a time ---- */

/* Which part: the bytes from `offset` on, at most `length`. An `etag` that is not empty:
 * RTSUP_ABORTED, ETAG_MISMATCH when the value has another one by now. */
typedef struct rtsup_range {
  size_t size;
  uint64_t offset;
  uint32_t length;
  uint32_t reserved;
  rtsup_string etag;
  uint64_t whole; /* out: bytes of the whole value */
} rtsup_range;
/* answer->data has as many of the bytes as the base gives at a time, at least one unless the value
 * ends there. */
RTSUP_API int rtsup_state_read_part(rtsup_string component, rtsup_string key, rtsup_range* range,
                                    const rtsup_options* options, rtsup_answer* answer);

/* A value that is being sent. RTSUP_INIT, then rtsup_state_upload_begin() fills it; component and
 * key are borrowed, and must stay until the last call that is given it. Of this instance: it ends
 * with its session, after a minute in which no call names it, and with the base, also when `rtsup
 * upgrade` replaces that: UPLOAD_UNKNOWN. */
typedef struct rtsup_upload {
  size_t size;
  uint64_t token;
  uint64_t bytes;      /* of the value */
  uint32_t part_bytes; /* of each part but the last one, which ends with the value */
  uint32_t reserved;
  rtsup_string component;
  rtsup_string key;
} rtsup_upload;

/* Nobody sees anything of it before the commit. At most four at a time an instance. */
RTSUP_API int rtsup_state_upload_begin(rtsup_string component, rtsup_string key, uint64_t bytes,
                                       const rtsup_options* options, rtsup_upload* upload,
                                       rtsup_answer* answer);
/* The part at `offset`, a multiple of part_bytes. In any order, each once, from any thread. */
RTSUP_API int rtsup_state_upload_part(const rtsup_upload* upload, uint64_t offset, rtsup_bytes part,
                                      const rtsup_options* options, rtsup_answer* answer);
/* All parts are there: puts the value in place, as rtsup_state_set() would; answer->etag is its
 * etag. When it is refused the upload goes on. */
RTSUP_API int rtsup_state_upload_commit(const rtsup_upload* upload, const rtsup_state_write* write,
                                        const rtsup_options* options, rtsup_answer* answer);
RTSUP_API int rtsup_state_upload_abort(const rtsup_upload* upload, const rtsup_options* options,
                                       rtsup_answer* answer);

/* ---- all of it ---- */

/* Takes the bytes at `offset` of a value of `whole` bytes; they are good until it returns. Anything
 * but RTSUP_OK ends the reading, which returns that. */
typedef int (*rtsup_sink)(void* context, uint64_t offset, uint64_t whole, rtsup_bytes part);
/* Where a value of `bytes` bytes comes from. `fill` gives those at `offset`: it fills `into`
 * wholly. Anything but RTSUP_OK ends the writing, which returns that; nothing is written then. */
typedef struct rtsup_source {
  size_t size;
  uint64_t bytes;
  int (*fill)(void* context, uint64_t offset, void* into, size_t length);
  void* context;
} rtsup_source;

/* Reads a value, part after part, all of one version: RTSUP_ABORTED when another one comes
 * meanwhile. `answer` tells of the value (found, etag, content type) and is released as always; a
 * value that is absent or empty is not told to the sink. options->timeout_ns is of each part. */
RTSUP_API int rtsup_state_read(rtsup_string component, rtsup_string key, rtsup_sink sink,
                               void* context, const rtsup_options* options, rtsup_answer* answer);
/* Writes a value, part after part. */
RTSUP_API int rtsup_state_write_parts(rtsup_string component, rtsup_string key,
                                      const rtsup_source* source, const rtsup_state_write* write,
                                      const rtsup_options* options, rtsup_answer* answer);

#ifdef __cplusplus
}
#endif
#endif /* RTSUP_STATE_PARTS_H */
