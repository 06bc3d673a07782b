/* The decoder, as the addon sees it. One hub a process; one native thread drains every session of it.
 *
 * Strings in: UTF-8 with a length. Strings out: freed with scope_string_free. No call throws or aborts; a bug inside
 * ends the session that it struck, with an END batch that says so.
 */
#ifndef SCOPE_DECODER_H
#define SCOPE_DECODER_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct scope_hub scope_hub;

#define SCOPE_BATCH_EVENTS 1u /* NDJSON lines, each ended by \n; of a session with a cursor, then a mark of SCOPE_MARK_BYTES */
#define SCOPE_BATCH_END 2u    /* one JSON object: {"reason":"detached|exited|exec|error","message":…,"stats":{…}}; the last of its session */

/* What the lines so far have told, for the configuration's resume.mark: who keeps the lines keeps the last one's. */
#define SCOPE_MARK_BYTES 216u

typedef struct scope_batch {
    uint64_t session;
    uint32_t kind;
    const uint8_t *bytes;
    size_t length;
    /* Of EVENTS: what its lines come to, for whoever only counts; of END: nothing.
     * {"events":{"http.exchange":2},"exchanges":[{"role":"server","method":"GET","status":200,"ns":[5,7]}]}
     * events: by name, all that the lines tell. exchanges: http.exchange by what metrics tell apart, with the nanoseconds
     * that each took; a status of 0 is none. */
    const uint8_t *summary;
    size_t summary_length;
    /* Lines that tell an event. */
    uint64_t events;
} scope_batch;

/* Called on the hub's own thread. The batch and its bytes are the callee's only until it returns. Each must be acknowledged
 * with scope_hub_ack once it has been taken further: more than `max_in_flight` unacknowledged batches stop the drain
 * (rings then fill, and the payload counts what it drops). */
typedef void (*scope_batch_callback)(void *context, const scope_batch *batch);

scope_hub *scope_hub_new(scope_batch_callback callback, void *context, uint32_t max_in_flight);

/* Opens a session by its JSON configuration; 0 on failure, then *error is {"reason":…,"message":…}. */
uint64_t scope_hub_open(scope_hub *hub, const char *config, size_t length, char **error);

/* Asks for everything recorded up to now to be delivered; done when scope_hub_stats says "flushed" >= the number returned. */
uint64_t scope_hub_flush(scope_hub *hub, uint64_t session);

/* {"records":…,"lost":{…},"events":…,…} or NULL where there is no such session. */
char *scope_hub_stats(scope_hub *hub, uint64_t session);

/* Drains what is left, tells of everything still open, then sends END. Returns at once. 0: no such session. */
int scope_hub_close(scope_hub *hub, uint64_t session);

void scope_hub_ack(scope_hub *hub, uint64_t session);

/* Ends the thread; no callback comes after it has returned. */
void scope_hub_free(scope_hub *hub);

void scope_string_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
