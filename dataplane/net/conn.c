/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

/* Writes the output and then `extra`; how much of both was taken, or -errno. */
static ptrdiff_t write_out(struct dp_conn *conn, gw_str extra)
{
    struct dp_block *output = conn->output;
    ptrdiff_t n;
    if (output && extra.len) {
        struct iovec parts[2] = {
            {output->data + output->start, output->end - output->start},
            {(void *)(uintptr_t)extra.ptr, extra.len},
        };
        n = writev(conn->fd, parts, 2);
    } else if (output) {
        n = write(conn->fd, output->data + output->start, output->end - output->start);
    } else {
        n = write(conn->fd, extra.ptr, extra.len);
    }
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

static void flush(struct dp_task *task)
{
    struct dp_conn *conn = gw_container_of(task, struct dp_conn, flush);
    if (conn->error) {
        conn->events->failed(conn, conn->error);
        return;
    }
    if (conn->connecting)
        return;
    if (conn->output && !conn->blocked) {
        ptrdiff_t n = write_out(conn, GW_STR_NONE);
        if (n < 0) {
            conn->error = (int)n;
            conn->events->failed(conn, conn->error);
            return;
        }
        (void)consume_output(conn, (size_t)n); /* there was nothing beyond */
    }
    set_blocked(conn, conn->output != NULL);
    if (conn->output)
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
    close(conn->fd);
    conn->fd = -1;
    drop_output(conn);
    dp_input_done(&conn->input, &conn->loop->blocks);
    dp_task_cancel(&conn->flush);
    conn->flush.run = bury;
    dp_loop_bury(conn->loop, &conn->flush);
}

void dp_conn_shutdown(struct dp_conn *conn)
{
    assert(!conn->output);
    (void)shutdown(conn->fd, SHUT_WR); /* fails when the peer is gone, which reading will tell */
}

ptrdiff_t dp_conn_read(struct dp_conn *conn, size_t want)
{
    size_t room;
    char *at = dp_input_room(&conn->input, &conn->loop->blocks, want, &room);
    if (!at)
        return -ENOBUFS;
    ssize_t n = read(conn->fd, at, room);
    if (n > 0) {
        dp_input_commit(&conn->input, (size_t)n);
        return n;
    }
    if (n == 0)
        return 0;
    return errno == EINTR ? -EAGAIN : -errno;
}

void dp_conn_pause(struct dp_conn *conn)
{
    ev_io_stop(conn->loop->ev, &conn->reader);
}

void dp_conn_resume(struct dp_conn *conn)
{
    if (conn->fd >= 0 && !conn->connecting)
        ev_io_start(conn->loop->ev, &conn->reader);
}

void dp_conn_send(struct dp_conn *conn, gw_str bytes)
{
    if (conn->fd < 0 || conn->error || bytes.len == 0)
        return;
    if (bytes.len > COPY_BYTES_MAX && !conn->blocked) {
        ptrdiff_t n = write_out(conn, bytes);
        if (n < 0) {
            fail(conn, (int)n);
            return;
        }
        size_t taken = consume_output(conn, (size_t)n);
        bytes = gw_str_n(bytes.ptr + taken, bytes.len - taken);
    }
    if (bytes.len) {
        dp_block_reserve(&conn->loop->blocks, &conn->output, bytes.len);
        memcpy(conn->output->data + conn->output->end, bytes.ptr, bytes.len);
        conn->output->end += (uint32_t)bytes.len;
    }
    if (!conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}

void dp_conn_touch(struct dp_conn *conn)
{
    if (conn->fd >= 0 && !conn->blocked)
        dp_loop_flush_later(conn->loop, &conn->flush);
}
