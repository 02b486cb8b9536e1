/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * A DNS server on a thread, on one loopback port over UDP and TCP, that says the same of every
 * name: `v4` addresses 127.0.0.1 and up, `v6` addresses 2001:db8::1 and up, or what `mode` asks. */
#ifndef DP_UPSTREAM_FAKE_DNS_H
#define DP_UPSTREAM_FAKE_DNS_H

#include "common/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum fake_dns_mode {
    DNS_ANSWERS,
    DNS_NO_SUCH_NAME,
    DNS_FAILS,    /* SERVFAIL */
    DNS_GARBAGE,  /* a header and noise */
    DNS_TRUNCATES /* over UDP: the caller comes again over TCP */
};

struct fake_dns {
    int udp, tcp;
    char address[32]; /* for --dns-servers */
    pthread_t thread;
    atomic_int mode, v4, v6, ttl_s, cname_ttl_s; /* cname_ttl_s -1: no CNAME */
    atomic_int broken; /* questions of this type, 1 (A) or 28 (AAAA), fail; negative: unanswered */
    atomic_int asked, asked_tcp, labels; /* labels: of the last name */
    atomic_bool stopping;
};

#define FAKE_DNS_BYTES 65000

static inline size_t dns_put(uint8_t *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return len;
}

/* Name at `name` (a pointer), type, class IN, TTL, length. */
static inline size_t dns_put_record(uint8_t *at, uint8_t name, uint8_t type, int ttl_s,
                                    const void *data, uint8_t len)
{
    const uint8_t head[] = {0xc0,
                            name,
                            0,
                            type,
                            0,
                            1,
                            (uint8_t)(ttl_s >> 24),
                            (uint8_t)(ttl_s >> 16),
                            (uint8_t)(ttl_s >> 8),
                            (uint8_t)ttl_s,
                            0,
                            len};
    size_t n = dns_put(at, head, sizeof(head));
    return n + dns_put(at + n, data, len);
}

static inline size_t dns_put_addresses(struct fake_dns *dns, uint8_t *at, uint8_t name,
                                       uint8_t type, int count)
{
    size_t n = 0;
    for (int i = 1; i <= count; i++) {
        uint8_t v4[4] = {127, 0, (uint8_t)(i >> 8), (uint8_t)i};
        uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i};
        n += type == 1 ? dns_put_record(at + n, name, 1, dns->ttl_s, v4, 4)
                       : dns_put_record(at + n, name, 28, dns->ttl_s, v6, 16);
    }
    return n;
}

/* The answer to a question of one name, in place. */
static inline size_t dns_answer(struct fake_dns *dns, uint8_t *message, size_t len, bool tcp)
{
    size_t end = 12;
    int labels = 0;
    for (; end < len && message[end]; labels++)
        end += message[end] + 1U;
    dns->labels = labels;
    end += 5;
    if (end > len)
        return 0;
    uint8_t type = message[end - 3];
    if (dns->broken == -type)
        return 0;
    int count = type == 1 ? dns->v4 : type == 28 ? dns->v6 : 0;
    bool has_cname = dns->cname_ttl_s >= 0;
    memset(message + 2, 0, 2);
    message[2] = 0x81; /* an answer, recursion was desired */
    bool fails = dns->mode == DNS_FAILS || dns->broken == type;
    message[3] = dns->mode == DNS_NO_SUCH_NAME ? 0x83 : fails ? 0x82 : 0x80;
    memset(message + 6, 0, 6); /* no records yet */
    if (dns->mode == DNS_GARBAGE) {
        message[7] = 9;
        return end + dns_put(message + end, "\xff\xff noise", 8);
    }
    if (dns->mode == DNS_TRUNCATES && !tcp) {
        message[2] |= 2;
        return end;
    }
    if (fails || (dns->mode != DNS_ANSWERS && dns->mode != DNS_TRUNCATES))
        return end;
    uint8_t name = 12;
    if (has_cname && count > 0) {
        name = (uint8_t)(end + 12); /* "real." within the CNAME's data */
        end += dns_put_record(message + end, 12, 5, dns->cname_ttl_s, "\4real", 6);
    }
    end += dns_put_addresses(dns, message + end, name, type, count);
    int records = count + (name != 12);
    message[6] = (uint8_t)(records >> 8);
    message[7] = (uint8_t)records;
    return end;
}

static inline void dns_serve_tcp(struct fake_dns *dns, uint8_t *message)
{
    int fd = accept(dns->tcp, NULL, NULL);
    /* One read each: they are short, and come whole over loopback. */
    ssize_t n;
    while (fd >= 0 && (n = read(fd, message, 512)) > 2) {
        dns->asked_tcp++;
        size_t len = dns_answer(dns, message + 2, (size_t)n - 2, true);
        message[0] = (uint8_t)(len >> 8);
        message[1] = (uint8_t)len;
        if (write(fd, message, len + 2) < 0)
            break;
    }
    if (fd >= 0)
        close(fd);
}

static inline void *dns_run(void *arg)
{
    struct fake_dns *dns = arg;
    static uint8_t message[FAKE_DNS_BYTES];
    while (!dns->stopping) {
        struct pollfd fds[2] = {{dns->udp, POLLIN, 0}, {dns->tcp, POLLIN, 0}};
        if (poll(fds, 2, 20) <= 0)
            continue;
        if (fds[1].revents)
            dns_serve_tcp(dns, message);
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof(peer);
        ssize_t n = recvfrom(dns->udp, message, 512, MSG_DONTWAIT, (void *)&peer, &peer_len);
        if (n <= 0)
            continue;
        dns->asked++;
        size_t len = dns_answer(dns, message, (size_t)n, false);
        if (len > 0)
            (void)sendto(dns->udp, message, len, 0, (void *)&peer, peer_len);
    }
    return NULL;
}

static inline void dns_start(struct fake_dns *dns)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    memset(dns, 0, sizeof(*dns));
    dns->v4 = 1;
    dns->ttl_s = 60;
    dns->cname_ttl_s = -1;
    dns->udp = socket(AF_INET, SOCK_DGRAM, 0);
    dns->tcp = socket(AF_INET, SOCK_STREAM, 0);
    /* Ports of TCP are those that are scarce. */
    assert_int_equal(bind(dns->tcp, (void *)&at, len), 0);
    assert_int_equal(getsockname(dns->tcp, (void *)&at, &len), 0);
    assert_int_equal(bind(dns->udp, (void *)&at, len), 0);
    assert_int_equal(listen(dns->tcp, 8), 0);
    (void)snprintf(dns->address, sizeof(dns->address), "127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&dns->thread, NULL, dns_run, dns), 0);
}

static inline void dns_stop(struct fake_dns *dns)
{
    dns->stopping = true;
    pthread_join(dns->thread, NULL);
    close(dns->udp);
    close(dns->tcp);
}

#endif
