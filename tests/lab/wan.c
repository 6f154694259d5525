// SPDX-License-Identifier: Apache-2.0
//
// A WAN between two network namespaces: one TUN device in each, and this program between them.
//
//   wan --control SOCKET --seed N --a PID --b PID
//
// Each direction is a router port followed by a long line: random loss, then a drop-tail queue, serialisation at the
// link's rate, and a fixed propagation delay. Packets never overtake one another. Everything runs in one thread that
// sleeps in epoll until a packet comes in or the next one is due.
//
// Control: one text command per datagram, one text answer back to the sender's address.
//
//   show                                  settings and counters, one line per direction
//   set [ab|ba] KEY=N [KEY=N ...]         both directions unless one is named; keys: delay_us, rate_bit (per second,
//                                         0: unlimited), loss_ppm, queue_bytes (0: automatic), cut (0 or 1)

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "wan0"
#define MAX_PACKET 65535
// Packets read from one side before the other side and due packets get their turn.
#define READ_BATCH 64
// Packets due this soon are delivered now instead of in a wake-up of their own: well below the promised 1 ms.
#define DELIVERY_SLACK_NS 50000
// The automatic queue: what a small router has, or what a full-rate TCP flow needs on a long line.
#define MIN_QUEUE_BYTES (256 * 1024)
// Bound of the memory held per direction when rate and delay are both generous.
#define MAX_HELD_BYTES (256 * 1024 * 1024)
#define NS_PER_SECOND 1000000000ULL

struct packet {
  struct packet *next;
  uint64_t due;  // CLOCK_MONOTONIC, ns
  size_t length;
  unsigned char data[];
};

struct direction {
  const char *name;
  int from, to;  // TUN devices

  uint64_t delay_us, rate_bit, loss_ppm, queue_bytes, cut;

  uint64_t line_free;  // when the last accepted packet will have left the queue, ns
  uint64_t random;
  struct packet *head, *tail;

  uint64_t packets, bytes;  // delivered
  uint64_t dropped_loss, dropped_queue, dropped_cut;
  uint64_t held_bytes;
};

static struct direction directions[2];

static void die(const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "wan: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, ": %s\n", strerror(error));
  va_end(arguments);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

// Creates the TUN device in the network namespace of a process; the device lives as long as the descriptor.
static int open_tun(const char *pid, int home) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  int there = open(path, O_RDONLY | O_CLOEXEC);
  if (there < 0 || setns(there, CLONE_NEWNET) < 0) die("cannot enter %s", path);
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) die("cannot open /dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strcpy(request.ifr_name, DEVICE);
  if (ioctl(tun, TUNSETIFF, &request) < 0) die("cannot create " DEVICE " in %s", path);
  if (setns(home, CLONE_NEWNET) < 0) die("cannot return to the first network namespace");
  close(there);
  return tun;
}

// xorshift64*: the loss pattern is a function of the seed and the packet count alone.
static bool lost(struct direction *d) {
  d->random ^= d->random >> 12;
  d->random ^= d->random << 25;
  d->random ^= d->random >> 27;
  return (d->random * 0x2545F4914F6CDD1DULL >> 32) % 1000000 < d->loss_ppm;
}

static uint64_t queue_limit(const struct direction *d) {
  if (d->queue_bytes) return d->queue_bytes;
  uint64_t round_trip_us = directions[0].delay_us + directions[1].delay_us;
  uint64_t bandwidth_delay = d->rate_bit / 8 * round_trip_us / 1000000;
  return bandwidth_delay > MIN_QUEUE_BYTES ? bandwidth_delay : MIN_QUEUE_BYTES;
}

static void drop_held(struct direction *d) {
  while (d->head) {
    struct packet *p = d->head;
    d->head = p->next;
    free(p);
    d->dropped_cut++;
  }
  d->tail = NULL;
  d->held_bytes = 0;
  d->line_free = 0;
}

static void accept_packet(struct direction *d, const unsigned char *data, size_t length, uint64_t now) {
  if (d->cut) {
    d->dropped_cut++;
    return;
  }
  if (lost(d)) {
    d->dropped_loss++;
    return;
  }
  uint64_t leaves = now;
  if (d->rate_bit) {
    uint64_t waiting_ns = d->line_free > now ? d->line_free - now : 0;
    uint64_t waiting_bytes = (uint64_t)((double)waiting_ns * (double)d->rate_bit / 8 / NS_PER_SECOND);
    if (waiting_bytes + length > queue_limit(d)) {
      d->dropped_queue++;
      return;
    }
    leaves = now + waiting_ns + length * 8 * NS_PER_SECOND / d->rate_bit;
    d->line_free = leaves;
  }
  if (d->held_bytes + length > MAX_HELD_BYTES) {
    d->dropped_queue++;
    return;
  }
  struct packet *p = malloc(sizeof *p + length);
  if (!p) die("out of memory");
  p->next = NULL;
  p->length = length;
  p->due = leaves + d->delay_us * 1000;
  if (d->tail && p->due < d->tail->due) p->due = d->tail->due;  // the delay was just made shorter
  memcpy(p->data, data, length);
  if (d->tail) d->tail->next = p; else d->head = p;
  d->tail = p;
  d->held_bytes += length;
}

static void read_side(struct direction *d) {
  static unsigned char buffer[MAX_PACKET];
  for (int i = 0; i < READ_BATCH; i++) {
    ssize_t length = read(d->from, buffer, sizeof buffer);
    if (length <= 0) {
      if (length < 0 && errno != EAGAIN && errno != EBADFD) die("cannot read packets of %s", d->name);
      return;
    }
    accept_packet(d, buffer, (size_t)length, now_ns());
  }
}

static void deliver_due(struct direction *d) {
  uint64_t horizon = now_ns() + DELIVERY_SLACK_NS;
  while (d->head && d->head->due <= horizon) {
    struct packet *p = d->head;
    d->head = p->next;
    if (!d->head) d->tail = NULL;
    d->held_bytes -= p->length;
    if (write(d->to, p->data, p->length) == (ssize_t)p->length) {
      d->packets++;
      d->bytes += p->length;
    } else {
      d->dropped_queue++;  // the device is down, or its host's receive queue is full
    }
    free(p);
  }
}

static void arm(int timer) {
  uint64_t next = 0;
  for (int i = 0; i < 2; i++)
    if (directions[i].head && (!next || directions[i].head->due < next)) next = directions[i].head->due;
  struct itimerspec when = {.it_value = {(time_t)(next / NS_PER_SECOND), (long)(next % NS_PER_SECOND)}};
  if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("cannot set the timer");
}

static uint64_t *setting(struct direction *d, const char *key) {
  if (!strcmp(key, "delay_us")) return &d->delay_us;
  if (!strcmp(key, "rate_bit")) return &d->rate_bit;
  if (!strcmp(key, "loss_ppm")) return &d->loss_ppm;
  if (!strcmp(key, "queue_bytes")) return &d->queue_bytes;
  if (!strcmp(key, "cut")) return &d->cut;
  return NULL;
}

struct change {
  const char *key;
  uint64_t value;
};

// Decodes all words before the first change is made, so that a bad command changes nothing.
static const char *execute_set(char *words) {
  bool chosen[2] = {true, true};
  struct change changes[16];
  int count = 0;
  char *word = strtok(words, " \n");
  if (word && (!strcmp(word, "ab") || !strcmp(word, "ba"))) {
    chosen[0] = word[0] == 'a';
    chosen[1] = word[0] == 'b';
    word = strtok(NULL, " \n");
  }
  for (; word; word = strtok(NULL, " \n")) {
    char *value = strchr(word, '=');
    if (!value || count == 16) return "error: expected KEY=N";
    *value++ = 0;
    char *end;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (errno || end == value || *end || *value == '-') return "error: not a number of 0 or more";
    if (!setting(&directions[0], word))
      return "error: unknown key; known are delay_us, rate_bit, loss_ppm, queue_bytes, cut";
    changes[count++] = (struct change){word, number};
  }
  for (int i = 0; i < 2; i++) {
    if (!chosen[i]) continue;
    for (int c = 0; c < count; c++) *setting(&directions[i], changes[c].key) = changes[c].value;
    if (directions[i].cut) drop_held(&directions[i]);  // what is on the line when it is cut never arrives
  }
  return "ok";
}

static void show(char *answer, size_t size) {
  size_t used = 0;
  for (int i = 0; i < 2; i++) {
    struct direction *d = &directions[i];
    used += (size_t)snprintf(answer + used, size - used,
                             "%s delay_us=%lu rate_bit=%lu loss_ppm=%lu queue_bytes=%lu cut=%lu packets=%lu bytes=%lu "
                             "dropped_loss=%lu dropped_queue=%lu dropped_cut=%lu held_bytes=%lu\n",
                             d->name, d->delay_us, d->rate_bit, d->loss_ppm, queue_limit(d), d->cut, d->packets,
                             d->bytes, d->dropped_loss, d->dropped_queue, d->dropped_cut, d->held_bytes);
  }
}

static void serve_control(int control) {
  char command[512], answer[2048];
  struct sockaddr_un client;
  socklen_t client_size = sizeof client;
  ssize_t length = recvfrom(control, command, sizeof command - 1, 0, (struct sockaddr *)&client, &client_size);
  if (length < 0) return;
  command[length] = 0;
  if (!strncmp(command, "show", 4)) {
    show(answer, sizeof answer);
  } else if (!strncmp(command, "set ", 4)) {
    snprintf(answer, sizeof answer, "%s\n", execute_set(command + 4));
  } else {
    snprintf(answer, sizeof answer, "error: unknown command; known are show, set\n");
  }
  // A client that has gone away misses its answer; that is all.
  (void)!sendto(control, answer, strlen(answer), MSG_DONTWAIT, (struct sockaddr *)&client, client_size);
}

static int open_control(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    die("control socket %s", path);
  }
  strcpy(address.sun_path, path);
  int control = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path);
  if (control < 0 || bind(control, (struct sockaddr *)&address, sizeof address) < 0) die("control socket %s", path);
  return control;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll");
}

int main(int argc, char **argv) {
  if (argc != 9 || strcmp(argv[1], "--control") || strcmp(argv[3], "--seed") || strcmp(argv[5], "--a") ||
      strcmp(argv[7], "--b")) {
    fprintf(stderr, "usage: wan --control SOCKET --seed N --a PID --b PID\n");
    return 2;
  }
  uint64_t seed = strtoull(argv[4], NULL, 10);
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) die("cannot open /proc/self/ns/net");
  int a = open_tun(argv[6], home), b = open_tun(argv[8], home);
  directions[0] = (struct direction){.name = "ab", .from = a, .to = b, .random = seed * 2 + 1};
  directions[1] = (struct direction){.name = "ba", .from = b, .to = a, .random = (seed * 2 + 1) << 20};

  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (timer < 0 || epoll < 0) die("cannot create timer and epoll");
  int control = open_control(argv[2]);
  watch(epoll, a);
  watch(epoll, b);
  watch(epoll, timer);
  watch(epoll, control);

  for (;;) {
    struct epoll_event events[4];
    int count = epoll_wait(epoll, events, 4, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      uint64_t expirations;
      if (fd == a) read_side(&directions[0]);
      else if (fd == b) read_side(&directions[1]);
      else if (fd == control) serve_control(control);
      else (void)!read(timer, &expirations, sizeof expirations);
    }
    deliver_due(&directions[0]);
    deliver_due(&directions[1]);
    arm(timer);
  }
}
