/* SPDX-License-Identifier: Apache-2.0 */
/* A connected socket with its input and output. Reading is level triggered and its watcher stays
 * on; what is sent leaves in one write when the current event ends. One thread. */
#ifndef DP_NET_CONN_H
#define DP_NET_CONN_H

#include "dataplane/net/address.h"
#include "dataplane/net/loop.h"

/* Unwritten bytes from which on a producer should pause until `drained`. */
#define DP_CONN_HIGH_WATER (64 * 1024)

/* Bodies from here on are worth a pipe; how much goes through it at once, and where the kernel
 * paces what is sent, of a body that is twice that at most. */
#define DP_SPLICE_MIN (32 * 1024)
#define DP_SPLICE_BYTES (256 * 1024)
#define DP_SPLICE_PACED_BYTES (64 * 1024)

struct dp_conn;
struct dp_tls; /* net/tls.h */

/* The owner's part. None is called after dp_conn_close. */
struct dp_conn_events {
    void (*connected)(struct dp_conn *); /* after dp_conn_connect, or a TLS handshake */
    void (*readable)(struct dp_conn *);  /* call dp_conn_read */
    void (*drained)(struct dp_conn *);   /* after a write: nothing is left to write */
    void (*stalled)(struct dp_conn *);   /* after a write: the kernel took less; more later */
    void (*failed)(struct dp_conn *, int error); /* connecting or writing failed: -errno */
    void (*freed)(struct dp_conn *);             /* some time after dp_conn_close: free the owner */
};

struct dp_conn {
    struct dp_loop *loop;                /* borrowed */
    const struct dp_conn_events *events; /* borrowed */
    ev_io reader, writer;
    struct dp_input input;
    struct dp_block *output; /* owned; NULL: nothing to write */
    struct dp_tls *tls;      /* owned; NULL: bytes are sent as they are (dp_conn_start_tls) */
    struct dp_task flush;    /* then the grave */
    int fd;                  /* -1: closed */
    int error;               /* of a write within the event, told by flush */
    bool connecting;
    bool blocked; /* the writer watcher is on: the kernel has no room */
};

/* Where the bytes of another connection may go without passing through this process. */
struct dp_sink {
    struct dp_conn *conn; /* borrowed; NULL: there is none */
    uint64_t bytes;       /* that have gone to it */
};

/* Room behind what is to be written, as a buffer that does not grow: what is made there need not be
 * copied. dp_conn_commit sends what was put in; until then nothing else may be sent. */
struct gw_buf dp_conn_room(struct dp_conn *conn);
void dp_conn_commit(struct dp_conn *conn, const struct gw_buf *room);

/* Takes a connected, non-blocking socket. */
void dp_conn_init(struct dp_conn *conn, struct dp_loop *loop, const struct dp_conn_events *events,
                  int fd);
/* Starts to connect a new socket; `connected` or `failed` follows, never from within this call. 0,
 * or -errno when it fails at once; then there is nothing to close. */
GW_MUST_CHECK int dp_conn_connect(struct dp_conn *conn, struct dp_loop *loop,
                                  const struct dp_conn_events *events,
                                  const struct dp_address *address, uint16_t port);
/* Watchers stop and the socket closes now, the memory goes when the event ends. Twice is once. */
void dp_conn_close(struct dp_conn *conn);
/* Before a close that cuts nothing: over TLS the peer is told so, if all output has left. */
void dp_conn_announce_end(struct dp_conn *conn);
/* Sends FIN (and TLS's own end) after all output; what still comes in can be read. */
void dp_conn_shutdown(struct dp_conn *conn);

/* One read into the input. >0: bytes; 0: the peer sent FIN; -EAGAIN: nothing there; other -errno.
 * want: see dp_input_room. most: bytes to take, for when the rest had better stay in the kernel;
 * over TLS no bound. -ENOBUFS: there is no room. */
GW_MUST_CHECK ptrdiff_t dp_conn_read_most(struct dp_conn *conn, size_t want, size_t most);
GW_MUST_CHECK static inline ptrdiff_t dp_conn_read(struct dp_conn *conn, size_t want)
{
    return dp_conn_read_most(conn, want, SIZE_MAX);
}
/* The next dp_conn_read asks the socket, whatever the loop has last said of it: for before a close.
 */
void dp_conn_look_again(struct dp_conn *conn);
/* As dp_conn_read, but what is read, at most `most` bytes and never more than DP_SPLICE_BYTES, goes
 * on to the sink, behind its output: by splice as far as its socket has room, the rest is queued.
 * -EOPNOTSUPP: not now (the sink is blocked), or not here (TLS): read and send.
 * is_end: nothing may stand behind those bytes. most + 1: something does; one byte of it is gone.
 */
GW_MUST_CHECK ptrdiff_t dp_conn_splice(struct dp_conn *conn, struct dp_sink *sink, uint64_t most,
                                       bool is_end);
/* The peer has reset it, or the network did: also where nobody reads, which else would tell. */
bool dp_conn_is_reset(const struct dp_conn *conn);
/* Stops and starts reading. Each change may cost a system call: for backpressure only. */
void dp_conn_pause(struct dp_conn *conn);
void dp_conn_resume(struct dp_conn *conn);
/* Bytes have left the kernel that dp_conn_read has not given yet (TLS only). */
bool dp_conn_has_unread(const struct dp_conn *conn);

/* Queues bytes; large ones are written straight from where they are. Never calls back. */
void dp_conn_send(struct dp_conn *conn, gw_str bytes);
/* The same, but never written at once: for pieces of what leaves together. */
void dp_conn_queue(struct dp_conn *conn, gw_str bytes);
/* `drained` follows even when there was nothing to write. */
void dp_conn_touch(struct dp_conn *conn);
/* One write of what is queued, as far as the kernel takes it; for before a close. Never calls back.
 */
void dp_conn_push(struct dp_conn *conn);
/* The same, for output that is to leave together with what is written to the socket right after.
 * False: the kernel has no room for all of it. */
GW_MUST_CHECK bool dp_conn_push_first(struct dp_conn *conn);
/* Bytes given to dp_conn_send that no write has taken yet. */
static inline size_t dp_conn_pending(const struct dp_conn *conn)
{
    return conn->output ? conn->output->end - conn->output->start : 0;
}

#endif
