/* rtsup.h: the C ABI of the Runtime ABI, version 1. Stable: a program built against this header
 * runs on every newer base of the same major version without a rebuild. C++ programs include
 * <rtsup/rtsup.hpp> instead, which is built on this.
 *
 * Rules for all of it:
 *  - Structs start with their size; RTSUP_INIT fills it. Fields are only ever added at the end; a
 * reader looks at the size before it reads a newer field.
 *  - Strings are (pointer, length), not NUL-terminated, UTF-8. A null pointer with length 0 is the
 * empty string.
 *  - What the library hands out (rtsup_answer, the event's data) points into shared memory that
 * only the base can write. It stays valid until rtsup_answer_release(), or until rtsup_handle()
 * returns.
 *  - Threads: every call may be made from any thread, unless it says otherwise. No call throws;
 * nothing may unwind through it.
 *  - Calls return a status of enum rtsup_status, the canonical codes of gRPC.
 */
#ifndef RTSUP_RTSUP_H
#define RTSUP_RTSUP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
template <typename Struct>
inline Struct rtsup_sized() {
  Struct made{};
  made.size = sizeof(Struct);
  return made;
}
extern "C" {
#endif

#define RTSUP_ABI_MAJOR 1
#define RTSUP_ABI_MINOR 3
#define RTSUP_API __attribute__((visibility("default")))

enum rtsup_status {
  RTSUP_OK = 0,
  RTSUP_CANCELLED = 1,
  RTSUP_UNKNOWN = 2,
  RTSUP_INVALID_ARGUMENT = 3,
  RTSUP_DEADLINE_EXCEEDED = 4,
  RTSUP_NOT_FOUND = 5,
  RTSUP_ALREADY_EXISTS = 6,
  RTSUP_PERMISSION_DENIED = 7,
  RTSUP_RESOURCE_EXHAUSTED = 8,
  RTSUP_FAILED_PRECONDITION = 9,
  RTSUP_ABORTED = 10,
  RTSUP_OUT_OF_RANGE = 11,
  RTSUP_UNIMPLEMENTED = 12,
  RTSUP_INTERNAL = 13,
  RTSUP_UNAVAILABLE = 14,
  RTSUP_DATA_LOSS = 15,
  RTSUP_UNAUTHENTICATED = 16
};

typedef struct rtsup_string {
  const char* data;
  size_t length;
} rtsup_string;
typedef struct rtsup_bytes {
  const void* data;
  size_t length;
} rtsup_bytes;
typedef struct rtsup_pair {
  rtsup_string name;
  rtsup_string value;
} rtsup_pair;

/* Any struct below that starts with its size, with that set and all else zero. */
#ifdef __cplusplus
#define RTSUP_INIT(type) (rtsup_sized<type>())
#define RTSUP_LITERAL(text) (rtsup_string{(text), sizeof(text) - 1})
#else
#define RTSUP_INIT(type) ((type){.size = sizeof(type)})
#define RTSUP_LITERAL(text) \
  ((rtsup_string){(text), sizeof(text) - 1}) /* a string literal as rtsup_string */
#endif

/* ---- what a function exports ---- */

enum rtsup_event_kind {
  RTSUP_EVENT_INVOKE = 1,
  RTSUP_EVENT_MESSAGE = 2 /* of a topic that the function has subscribed to; since 1.1 */
};

typedef struct rtsup_event {
  size_t size;
  uint32_t kind; /* enum rtsup_event_kind; treat an unknown one as unsupported */
  uint32_t reserved;
  rtsup_string
      caller; /* a function's name, or "operator"; known by the base, not claimed by the caller */
  rtsup_string method;
  rtsup_string content_type;
  const rtsup_pair* metadata;
  size_t metadata_count;
  rtsup_bytes data;
  uint64_t timeout_ns;  /* what was left of the deadline when the event was taken up */
  uint8_t trace_id[16]; /* W3C trace context; all zero = none */
  uint8_t span_id[8];
  uint8_t trace_flags;
  uint8_t reserved_bytes[7];
  /* Of a message, since 1.1. `caller` is its publisher; `method` is empty. Answering RTSUP_OK
   * acknowledges it; with any other status, or none in time, it comes again. */
  rtsup_string component;
  rtsup_string topic;
  rtsup_string message_id; /* the same for every subscriber and attempt */
  int64_t published_unix_ms;
  uint32_t attempt; /* 1 at first */
  uint32_t reserved2;
} rtsup_event;

typedef struct rtsup_reply rtsup_reply; /* the answer under construction; belongs to the library */

/* Sets the answer's bytes; they are copied. May be called once; a second call replaces the first.
 */
RTSUP_API int rtsup_reply_set(rtsup_reply* reply, const void* data, size_t length);
RTSUP_API int rtsup_reply_set_content_type(rtsup_reply* reply, const char* content_type,
                                           size_t length);
/* Room of `length` bytes in the answer itself, to be filled before rtsup_handle() returns: saves
 * the copy. NULL = no room. */
RTSUP_API void* rtsup_reply_reserve(rtsup_reply* reply, size_t length);
/* The text that goes with a status other than RTSUP_OK. `reason` is UPPER_SNAKE. */
RTSUP_API int rtsup_reply_fail(rtsup_reply* reply, const char* reason, size_t reason_length,
                               const char* message, size_t message_length);

/* Called once after loading. Anything but RTSUP_OK: the function is not started. Optional. */
RTSUP_API int rtsup_start(void);
/* Called for each event, on one thread at a time when concurrency is 1. Returns a status. */
RTSUP_API int rtsup_handle(const rtsup_event* event, rtsup_reply* reply);
/* Called once before unloading. Optional. */
RTSUP_API void rtsup_destroy(void);

/* For executables: attaches to the base, calls the functions given (start and destroy may be NULL)
 * and returns when the base ends the session, with what main() should return. */
typedef struct rtsup_callbacks {
  size_t size;
  int (*start)(void);
  int (*handle)(const rtsup_event* event, rtsup_reply* reply);
  void (*destroy)(void);
} rtsup_callbacks;
RTSUP_API int rtsup_run(const rtsup_callbacks* callbacks);

/* ---- calls ---- */

/* An answer. `handle` is the library's. Every rtsup_answer that a call filled, whatever the status,
 * is given back by rtsup_answer_release(). */
typedef struct rtsup_answer {
  size_t size;
  void* handle;
  rtsup_bytes data;
  rtsup_string content_type;
  rtsup_string etag;
  int64_t expires_unix_ms; /* 0 = never */
  int32_t found;           /* state.get, config.get: 1 when there is such a key, or name */
  int32_t reserved;
  rtsup_string reason; /* with a status other than RTSUP_OK: UPPER_SNAKE */
  rtsup_string message;
  uint32_t retry_after_ms; /* when a repetition may succeed; 0 = unknown */
  uint32_t reserved2;
  rtsup_string message_id; /* rtsup_publish; since 1.1 */
} rtsup_answer;
RTSUP_API void rtsup_answer_release(rtsup_answer* answer);

/* Options of any call; NULL = defaults. */
typedef struct rtsup_options {
  size_t size;
  uint64_t timeout_ns; /* 0 = what is left of the event's deadline, or 5 s outside of an event */
  const rtsup_pair* metadata;
  size_t metadata_count;
} rtsup_options;

enum rtsup_concurrency { RTSUP_LAST_WRITE = 0, RTSUP_FIRST_WRITE = 1 };

typedef struct rtsup_state_write {
  size_t size;
  rtsup_string etag;
  uint32_t concurrency; /* enum rtsup_concurrency */
  uint32_t reserved;
  int64_t ttl_ms; /* 0 = never */
  rtsup_string content_type;
} rtsup_state_write;

RTSUP_API int rtsup_state_get(rtsup_string component, rtsup_string key,
                              const rtsup_options* options, rtsup_answer* answer);
RTSUP_API int rtsup_state_set(rtsup_string component, rtsup_string key, rtsup_bytes value,
                              const rtsup_state_write* write, const rtsup_options* options,
                              rtsup_answer* answer);
RTSUP_API int rtsup_state_delete(rtsup_string component, rtsup_string key,
                                 const rtsup_state_write* write, const rtsup_options* options,
                                 rtsup_answer* answer);

typedef struct rtsup_state_item {
  size_t size;
  rtsup_string key;
  rtsup_bytes value;              /* in: to set; out: as got */
  const rtsup_state_write* write; /* in: set and delete; NULL = last write */
  /* out, valid until the answer is released: */
  int32_t status;
  int32_t found;
  rtsup_string etag;
  rtsup_string content_type;
  int64_t expires_unix_ms;
  rtsup_string reason;
} rtsup_state_item;
/* Items stand `items[0].size` bytes apart, so that the struct can grow. Each item has its own
 * status; the call's status says whether the whole was carried out. */
RTSUP_API int rtsup_state_bulk_get(rtsup_string component, rtsup_state_item* items, size_t count,
                                   const rtsup_options* options, rtsup_answer* answer);
RTSUP_API int rtsup_state_bulk_set(rtsup_string component, rtsup_state_item* items, size_t count,
                                   const rtsup_options* options, rtsup_answer* answer);
RTSUP_API int rtsup_state_bulk_delete(rtsup_string component, rtsup_state_item* items, size_t count,
                                      const rtsup_options* options, rtsup_answer* answer);

RTSUP_API int rtsup_invoke(rtsup_string function, rtsup_string method, rtsup_bytes data,
                           rtsup_string content_type, const rtsup_options* options,
                           rtsup_answer* answer);
/* What goes with a message; since 1.1. NULL = nothing. */
typedef struct rtsup_message {
  size_t size;
  rtsup_string content_type;
} rtsup_message;
/* Puts a message into the queue of every subscriber of the topic. */
RTSUP_API int rtsup_publish(rtsup_string component, rtsup_string topic, rtsup_bytes data,
                            const rtsup_message* message, const rtsup_options* options,
                            rtsup_answer* answer);
/* Subscribes the function, not this instance: each message goes to one instance. It stays until
 * rtsup_unsubscribe() or the end of the base; again is no error. Best called in rtsup_start(). */
RTSUP_API int rtsup_subscribe(rtsup_string component, rtsup_string topic,
                              const rtsup_options* options, rtsup_answer* answer);
RTSUP_API int rtsup_unsubscribe(rtsup_string component, rtsup_string topic,
                                const rtsup_options* options, rtsup_answer* answer);

RTSUP_API int rtsup_echo(rtsup_bytes data, const rtsup_options* options, rtsup_answer* answer);

/* Since 1.1. A value of this function's own configuration: the manifest's, or what `rtsup config
 * set` has put in its place; as it is at the moment of the call. Costs tens of nanoseconds and no
 * call: the value is copied from the runtime page into `buffer`, and answer->data points there. A
 * value that `buffer` (which may be NULL) can not hold, or that is not on the page, is asked of the
 * base; answer->data is then good until the answer is released. Values have at most
 * RTSUP_CONFIG_VALUE_MAX bytes. Allocates nothing. */
#define RTSUP_CONFIG_VALUE_MAX 4096
RTSUP_API int rtsup_config_get(rtsup_string name, void* buffer, size_t capacity,
                               const rtsup_options* options, rtsup_answer* answer);

/* Since 1.1. The next `count` values of a sequence, in a row from *first on: nobody else ever gets
 * them, and in one process they go up. Usually taken from a range leased to this instance, which
 * costs tens of nanoseconds and no call; then there are gaps, and other instances' values stand in
 * no order to these, unless the component's `lease` is 0. `answer` may be NULL; it tells the reason
 * when the status is not RTSUP_OK. */
RTSUP_API int rtsup_sequencer_next(rtsup_string component, rtsup_string name, uint64_t count,
                                   const rtsup_options* options, uint64_t* first,
                                   rtsup_answer* answer);

/* "NOT_FOUND" for 5. */
RTSUP_API const char* rtsup_status_name(int status);
/* The library's own version, such as "0.1.0". */
RTSUP_API const char* rtsup_version(void);

/* ---- calls begun now and awaited later (since 1.1) ---- */

/* A call under way. RTSUP_INIT, then a begin function fills it. It may be moved, not used twice. */
typedef struct rtsup_call {
  size_t size;
  uint64_t handle;    /* the library's; 0 = not under way */
  uint32_t operation; /* the library's */
  int32_t status;     /* why it could not begin, and with what reason: UPPER_SNAKE */
  rtsup_string reason;
} rtsup_call;

/* Each begins the call of its name and does not wait for the answer. Everything it is given is
 * copied before it returns. Not RTSUP_OK: it did not begin; RTSUP_RESOURCE_EXHAUSTED,
 * TOO_MANY_CALLS: 64 are under way or not yet waited for, or their memory is used up: wait for one.
 * The timeout counts from here. The base hears of begun calls at the latest with the next
 * rtsup_wait(), rtsup_flush() or ordinary call of any thread, and with one wake-up at most for all
 * of them. Several may be answered in any order. */
RTSUP_API int rtsup_state_get_begin(rtsup_string component, rtsup_string key,
                                    const rtsup_options* options, rtsup_call* call);
RTSUP_API int rtsup_state_set_begin(rtsup_string component, rtsup_string key, rtsup_bytes value,
                                    const rtsup_state_write* write, const rtsup_options* options,
                                    rtsup_call* call);
RTSUP_API int rtsup_state_delete_begin(rtsup_string component, rtsup_string key,
                                       const rtsup_state_write* write, const rtsup_options* options,
                                       rtsup_call* call);
RTSUP_API int rtsup_invoke_begin(rtsup_string function, rtsup_string method, rtsup_bytes data,
                                 rtsup_string content_type, const rtsup_options* options,
                                 rtsup_call* call);
RTSUP_API int rtsup_publish_begin(rtsup_string component, rtsup_string topic, rtsup_bytes data,
                                  const rtsup_message* message, const rtsup_options* options,
                                  rtsup_call* call); /* since 1.2 */
RTSUP_API int rtsup_echo_begin(rtsup_bytes data, const rtsup_options* options, rtsup_call* call);

/* Wakes the base for what was begun, if it sleeps. */
RTSUP_API void rtsup_flush(void);
/* Waits for the answer, as the call of the begun kind would have: its status, and `answer` filled
 * (NULL: dropped). Once for each call that began, from any thread. For one that did not begin: why.
 * An answer that is not released holds one of 64 places of the base's memory. */
RTSUP_API int rtsup_wait(rtsup_call* call, rtsup_answer* answer);
/* Instead of rtsup_wait(): the answer is dropped when it comes. The base carries the call out. */
RTSUP_API void rtsup_call_give_up(rtsup_call* call);

#ifdef __cplusplus
}
#endif
#endif /* RTSUP_RTSUP_H */
