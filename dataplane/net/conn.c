/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/conn.h"

#include "dataplane/net/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Up to here copying is cheaper than a system call of its own. */
#define COPY_BYTES_MAX 4096

static void fail(struct dp_conn *conn, int error)
{
    conn->error = error;
    dp_loop_flush_later(conn->loop, &conn->flush);
}

static void drop_output(struct dp_conn *conn)
{
    dp_block_give(&conn->loop->blocks, conn->output);
    conn->output = NULL;
}

static void set_blocked(struct dp_conn *conn, bool blocked)
{
    if (conn->blocked == blocked)
        return;
    conn->blocked = blocked;
    if (blocked)
        ev_io_start(conn->loop->ev, &conn->writer);
    else
        ev_io_stop(conn->loop->ev, &conn->writer);
}

static bool is_shaking_hands(const struct dp_conn *conn)
{
    return gw_unlikely(conn->tls != NULL) && !conn->tls->established;
}

static bool has_output(const struct dp_conn *conn)
{
    return conn->output || (conn->tls && conn->tls->out);
}

/* As write_out. What is encrypted counts as taken, written or not. */
static ptrdiff_t write_encrypted(struct dp_conn *conn, gw_str extra)
{
    struct dp_tls *tls = conn->tls;
    size_t pending = dp_conn_pending(conn), total = pending + extra.len, taken = 0;
    do {
        size_t room = DP_TLS_BATCH_BYTES;
        while (taken < total && room > 0) {
            gw_str part =
                taken < pending
                    ? gw_str_n(conn->output->data + conn->output->start + taken, pending - taken)
                    : gw_str_n(extra.ptr + (taken - pending), total - taken);
            part.len = GW_MIN(part.len, room);
            int error = dp_tls_encrypt(tls, part);
            if (error)
                return error;
            taken += part.len;
            room -= part.len;
        }
        int error = dp_tls_flush(tls);
        if (error)
            return error;
    } while (!tls->out && taken < total);
    return (ptrdiff_t)taken;
}

/* send and recv are cheaper than write and read: they go to the socket without the layers of files.
 * libc's are points where a thread may be cancelled, which costs two locked instructions each. */
static ssize_t send_bytes(int fd, const void *bytes, size_t len, int flags)
{
    if (GW_IS_SANITIZED)
        return send(fd, bytes, len, flags);
    return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

static ssize_t receive_bytes(int fd, void *room, size_t len)
{
    if (GW_IS_SANITIZED)
        return recv(fd, room, len, 0);
    return syscall(SYS_recvfrom, fd, room, len, 0, NULL, NULL);
}

static ssize_t send_both(int fd, const struct dp_block *output, gw_str extra, int flags)
{
    struct iovec parts[2] = {
        {(void *)(uintptr_t)(output->data + output->start), output->end - output->start},
        {(void *)(uintptr_t)extra.ptr, extra.len},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &message, flags);
}

/* Writes the output and then `extra`; how much of both was taken, or -errno. flags: 0 or MSG_MORE.
 */
static ptrdiff_t write_out(struct dp_conn *conn, gw_str extra, int flags)
{
    const struct dp_block *output = conn->output;
    ssize_t n;
    if (gw_unlikely(conn->tls != NULL))
        return write_encrypted(conn, extra);
    flags |= MSG_NOSIGNAL;
    if (!output)
        n = send_bytes(conn->fd, extra.ptr, extra.len, flags);
    else if (extra.len == 0)
        n = send_bytes(conn->fd, output->data + output->start, output->end - output->start, flags);
    else
        n = send_both(conn->fd, output, extra, flags);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* Takes `written` bytes off the output; how many of them were beyond it. */
static size_t consume_output(struct dp_conn *conn, size_t written)
{
    size_t pending = dp_conn_pending(conn);
    if (written < pending) {
        conn->output->start += (uint32_t)written;
        return 0;
    }
    drop_output(conn);
    return written - pending;
}

/* Before the handshake is over only its own bytes leave. */
static void flush_handshake(struct dp_conn *conn)
{
    int error = dp_tls_flush(conn->tls);
    if (error) {
        conn->error = error;
        conn->events->failed(conn, error);
        return;
    }
    set_blocked(conn, conn->tls->out != NULL);
}

static void shake_hands(struct dp_conn *conn)
{
    int result = dp_tls_handshake(conn->tls);
    if (result < 0) {
        (void)dp_tls_flush(conn->tls); /* the alert that says why; the failure is told anyway */
        conn->error = result;
        conn->events->failed(conn, result);
        return;
    }
    dp_loop_flush_later(conn->loop, &conn->flush);
    if (result == 0)
        return;
    if (conn->events->connected)
        conn->events->connected(conn);
    if (conn->fd >= 0 && dp_tls_has_more(conn->tls))
        dp_loop_later(conn->loop, &conn->tls->again);
}

void dp_conn_look_again(struct dp_conn *conn)
{
    if (conn->tls)
        conn->tls->drained = false;
}

/* What the peer said before counts. */
static void tell_failure(struct dp_conn *conn)
{
    dp_conn_look_again(conn);
    conn->events->failed(conn, conn->error);
}

static void flush(struct dp_task *task)
{
    struct dp_conn *conn = gw_container_of(task, struct dp_conn, flush);
    if (conn->error) {
        tell_failure(conn);
        return;
    }
    if (conn->connecting)
        return;
    if (is_shaking_hands(conn)) {
        flush_handshake(conn);
        return;
    }
    if (has_output(conn) && !conn->blocked) {
        ptrdiff_t n = write_out(conn, GW_STR_NONE, 0);
        if (n < 0) {
            conn->error = (int)n;
            tell_failure(conn);
            return;
        }
        (void)consume_output(conn, (size_t)n); /* there was nothing beyond */
    }
    set_blocked(conn, has_output(conn));
    if (conn->blocked)
        conn->events->stalled(conn);
    else
        conn->events->drained(conn);
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)ev;
    (void)events;
    struct dp_conn *conn = gw_container_of(watcher, struct dp_conn, reader);
    struct dp_loop *loop = conn->loop;
    dp_conn_look_again(conn);
    if (is_shaking_hands(conn))
        shake_hands(conn);
    else
        conn->events->readable(conn);
    dp_loop_settle(loop);
}

static void finish_connect(struct dp_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    set_blocked(conn, false);
    if (error) {
        conn->events->failed(conn, -error);
        return;
    }
    conn->connecting = false;
    ev_io_start(conn->loop->ev, &conn->reader);
    if (conn->tls) {
        shake_hands(conn);
        return;
    }
    conn->events->connected(conn);
    if (conn->fd >= 0)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

static void on_writable(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)ev;
    (void)events;
    struct dp_conn *conn = gw_container_of(watcher, struct dp_conn, writer);
    struct dp_loop *loop = conn->loop;
    if (conn->connecting) {
        finish_connect(conn);
    } else {
        conn->blocked = false; /* the watcher stays on unless the flush empties the output */
        flush(&conn->flush);
        if (conn->fd >= 0 && !conn->blocked)
            ev_io_stop(loop->ev, &conn->writer);
    }
    dp_loop_settle(loop);
}

static void init(struct dp_conn *conn, struct dp_loop *loop, const struct dp_conn_events *events,
                 int fd)
{
    conn->loop = loop;
    conn->events = events;
    conn->input = (struct dp_input){0};
    conn->output = NULL;
    conn->tls = NULL;
    conn->fd = fd;
    conn->error = 0;
    conn->connecting = conn->blocked = false;
    dp_task_init(&conn->flush, flush);
    ev_io_init(&conn->reader, on_readable, fd, EV_READ);
    ev_io_init(&conn->writer, on_writable, fd, EV_WRITE);
}

static void set_no_delay(int fd)
{
    int on = 1;
    /* Only latency would suffer; not every socket in a test is TCP. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void dp_conn_init(struct dp_conn *conn, struct dp_loop *loop, const struct dp_conn_events *events,
                  int fd)
{
    init(conn, loop, events, fd);
    set_no_delay(fd);
    ev_io_start(loop->ev, &conn->reader);
}

int dp_conn_connect(struct dp_conn *conn, struct dp_loop *loop, const struct dp_conn_events *events,
                    const struct dp_address *address, uint16_t port)
{
    struct sockaddr_storage storage;
    socklen_t len = dp_address_to_sockaddr(address, port, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_no_delay(fd);
    if (connect(fd, (struct sockaddr *)&storage, len) != 0 && errno != EINPROGRESS) {
        int error = -errno;
        close(fd);
        return error;
    }
    init(conn, loop, events, fd);
    conn->connecting = true;
    set_blocked(conn, true);
    return 0;
}

static void bury(struct dp_task *task)
{
    struct dp_conn *conn = gw_container_of(task, struct dp_conn, flush);
    conn->events->freed(conn);
}

void dp_conn_close(struct dp_conn *conn)
{
    if (conn->fd < 0)
        return;
    ev_io_stop(conn->loop->ev, &conn->reader);
    ev_io_stop(conn->loop->ev, &conn->writer);
    dp_tls_free(conn->tls);
    conn->tls = NULL;
    close(conn->fd);
    conn->fd = -1;
    drop_output(conn);
    dp_input_done(&conn->input, &conn->loop->blocks);
    dp_task_cancel(&conn->flush);
    conn->flush.run = bury;
    dp_loop_bury(conn->loop, &conn->flush);
}

void dp_conn_announce_end(struct dp_conn *conn)
{
    if (conn->fd >= 0 && conn->tls && !conn->error && !has_output(conn))
        dp_tls_finish(conn->tls);
}

void dp_conn_shutdown(struct dp_conn *conn)
{
    assert(!conn->output);
    if (conn->tls)
        dp_tls_finish(conn->tls);
    (void)shutdown(conn->fd, SHUT_WR); /* fails when the peer is gone, which reading will tell */
}

static ptrdiff_t read_decrypted(struct dp_conn *conn, char *at, size_t room)
{
    ptrdiff_t n = dp_tls_read(conn->tls, at, room);
    if (n > 0)
        dp_input_commit(&conn->input, (size_t)n);
    if (conn->tls->out) /* TLS itself had something to answer */
        dp_loop_flush_later(conn->loop, &conn->flush);
    return n;
}

ptrdiff_t dp_conn_read_most(struct dp_conn *conn, size_t want, size_t most)
{
    size_t room;
    char *at = dp_input_room(&conn->input, &conn->loop->blocks, want, &room);
    if (!at)
        return -ENOBUFS;
    if (gw_unlikely(conn->tls != NULL))
        return read_decrypted(conn, at, room);
    ssize_t n = receive_bytes(conn->fd, at, GW_MIN(room, most));
    if (n > 0) {
        dp_input_commit(&conn->input, (size_t)n);
        return n;
    }
    if (n == 0)
        return 0;
    return errno == EINTR ? -EAGAIN : -errno;
}

bool dp_conn_is_reset(const struct dp_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return conn->error || getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error;
}

void dp_conn_pause(struct dp_conn *conn)
{
    ev_io_stop(conn->loop->ev, &conn->reader);
}

void dp_conn_resume(struct dp_conn *conn)
{
    if (conn->fd < 0 || conn->connecting)
        return;
    if (!ev_is_active(&conn->reader))
        ev_io_start(conn->loop->ev, &conn->reader);
    if (dp_conn_has_unread(conn))
        dp_loop_later(conn->loop, &conn->tls->again);
}

bool dp_conn_has_unread(const struct dp_conn *conn)
{
    return conn->tls && dp_tls_has_more(conn->tls);
}

void dp_conn_queue(struct dp_conn *conn, gw_str bytes)
{
    if (conn->fd < 0 || conn->error || bytes.len == 0)
        return;
    dp_block_reserve(&conn->loop->blocks, &conn->output, bytes.len);
    memcpy(conn->output->data + conn->output->end, bytes.ptr, bytes.len);
    conn->output->end += (uint32_t)bytes.len;
    if (!conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

void dp_conn_send(struct dp_conn *conn, gw_str bytes)
{
    if (conn->fd < 0 || conn->error || bytes.len == 0)
        return;
    if (bytes.len > COPY_BYTES_MAX && !conn->blocked && !is_shaking_hands(conn)) {
        ptrdiff_t n = write_out(conn, bytes, 0);
        if (n < 0) {
            fail(conn, (int)n);
            return;
        }
        size_t taken = consume_output(conn, (size_t)n);
        bytes = gw_str_n(bytes.ptr + taken, bytes.len - taken);
    }
    dp_conn_queue(conn, bytes);
    if (!conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

struct gw_buf dp_conn_room(struct dp_conn *conn)
{
    if (conn->fd < 0 || conn->error)
        return (struct gw_buf){.limit_bytes = 1}; /* of which nothing is there: nothing fits */
    if (!conn->output)
        conn->output = dp_block_take(&conn->loop->blocks, DP_BLOCK_SMALL);
    struct dp_block *output = conn->output;
    size_t left = output->capacity - output->end;
    return (struct gw_buf){
        .data = output->data + output->end, .capacity = left, .limit_bytes = GW_MAX(left, 1U)};
}

void dp_conn_commit(struct dp_conn *conn, const struct gw_buf *room)
{
    assert(room->data == conn->output->data + conn->output->end);
    conn->output->end += (uint32_t)room->end;
    if (!conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

void dp_conn_touch(struct dp_conn *conn)
{
    if (conn->fd >= 0 && !conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

static void push(struct dp_conn *conn, int flags)
{
    if (conn->fd < 0 || conn->error || conn->blocked || !conn->output || is_shaking_hands(conn))
        return;
    ptrdiff_t n = write_out(conn, GW_STR_NONE, flags);
    if (n > 0)
        (void)consume_output(conn, (size_t)n); /* there was nothing beyond */
}

void dp_conn_push(struct dp_conn *conn)
{
    push(conn, 0);
}

bool dp_conn_push_first(struct dp_conn *conn)
{
    push(conn, MSG_MORE);
    return !conn->output;
}
