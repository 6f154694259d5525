// SPDX-License-Identifier: Apache-2.0
//
// The load of the lab guest: writes stamped sectors to random places of every virtio disk, reads them back, and checks
// that each sector is what this program last wrote there (or found there, or a hole). Nothing is believed to be on the
// disk that wasn't put there; O_DIRECT keeps the guest's page cache out.
//
// Kernel command line (all optional):
//   load.rate=full|idle|N   I/O per second of all disks together, default full
//   load.depth=N            I/O in flight per disk, 1..16, default 4
//   load.reads=N            per cent of reads, default 50
//   load.partial=N          per cent of writes that write only some sectors of the block, default 10
//   load.zeroes=N           per cent of writes that are "write zeroes" of the block, default 1
//   load.fsync=N            one fsync after so many writes, default 100
//   load.fill=N             per mille of each disk that is prefilled at the start, default 0
//   load.learn=1            instead: take whatever stamps are on the disks at the start as the expected content
//   load.area=N             only the first N MiB of each disk, default 0: all of it
//
// Commands, one per line on the console: `rate full|idle|N`, `sum` (stops the load, fsyncs and prints one digest per
// disk), `digest` (the same without fsync), `go` (goes on), `off` (stops, fsyncs, powers off), `take` (puts disks that
// were plugged in since under load, with what is on them), `drop` (lets go of the disk that came last), `latency` (prints
// one line about the I/O since it was last asked).
//
// Output, one line each, all starting with "load: " and with key=value fields:
//   ready     the load runs now
//   stat      once a second: t (guest's clock, s since 1970), writes, reads, worst_ms and p99_ms of the last second;
//             mismatches and errors since the start
//   mismatch  one sector that is not what it should be (the first few only)
//   error     one failed I/O (the first few only)
//   latency   count, p99_ms and worst_ms of all I/O since the last such line
//   sum       one disk's digest, the same that the host's verifier prints for its image

#define _GNU_SOURCE
#include "../stamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAX_DISKS 8
#define MAX_DEPTH 16
#define MAX_REPORTS 20
#define BLOCK_BYTES (BLOCK_SECTORS * SECTOR_BYTES)
#define LEARN_SECTORS 2048  // 1 MiB at a time
#define HEARTBEAT_NS 5000000
#define NS_PER_SECOND 1000000000LL
#define RATE_FULL -1
// After a stall a paced thread doesn't try to catch up more than this.
#define MAX_CATCH_UP_NS (100 * 1000000LL)

struct disk {
  char name[64];
  int fd;
  uint64_t volume;
  uint64_t sectors;
  char device[24];
  uint32_t *expected;  // sequence number per sector
  uint32_t sequence;   // last one used; every write gets its own
  bool dropped;        // its workers end; guarded by `lock`
};

struct worker {
  struct disk *disk;
  int index;  // owns the blocks whose number is this modulo the depth, so no block is read while it is written
  uint64_t random;
  int64_t next;  // when paced: time of the next I/O
  char *buffer;
};

static struct disk *disks[MAX_DISKS];
static int disk_count;
static int depth = 4, read_percent = 50, partial_percent = 10, zero_percent = 1, writes_per_fsync = 100, fill = 0,
           learn = 0, area_mib = 0;

// Everything below is guarded by `lock`.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_cond_t quiet = PTHREAD_COND_INITIALIZER;
static bool stopped;
static int rate = RATE_FULL;
static int busy;
static uint64_t total_mismatches, total_errors;
static int reports;
static uint64_t second_writes, second_reads;
// Latencies: 8 buckets per power of two microseconds.
struct latencies {
  uint32_t buckets[32 * 8];
  int64_t worst;
};
static struct latencies second, since_asked;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static void say(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int length = snprintf(line, sizeof line, "load: ");
  length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
  va_end(arguments);
  line[length++] = '\n';
  (void)!write(STDOUT_FILENO, line, (size_t)length);  // one write per line: lines of several threads don't mix
}

static void die(const char *what) {
  say("fatal what=\"%s\" errno=%d", what, errno);
  for (;;) pause();  // process 1 must not end
}

static uint64_t next_random(uint64_t *state) {
  *state += 0x9E3779B97F4A7C15ULL;
  return mix64(*state);
}

// ---- latency statistics ----

static size_t bucket_of(int64_t ns) {
  uint64_t us = (uint64_t)ns / 1000 + 8;
  int top = 63 - __builtin_clzll(us);
  size_t bucket = (size_t)(top - 3) * 8 + ((us >> (top - 3)) & 7);
  return bucket < 32 * 8 ? bucket : 32 * 8 - 1;
}

static double bucket_ms(size_t bucket) {
  uint64_t us = (8 + (bucket & 7) + 1) << (bucket / 8);
  return (double)(us - 8) / 1000;
}

static uint64_t count_of(const struct latencies *l) {
  uint64_t count = 0;
  for (size_t i = 0; i < 32 * 8; i++) count += l->buckets[i];
  return count;
}

static double worst_ms(const struct latencies *l) {
  return (double)l->worst / 1e6;
}

static double p99_ms(const struct latencies *l) {
  uint64_t count = count_of(l), seen = 0;
  for (size_t i = 0; i < 32 * 8 && count; i++) {
    seen += l->buckets[i];
    if (seen * 100 >= count * 99) return bucket_ms(i) < worst_ms(l) ? bucket_ms(i) : worst_ms(l);
  }
  return 0;
}

static void note_latency(struct latencies *l, int64_t took) {
  l->buckets[bucket_of(took)]++;
  if (took > l->worst) l->worst = took;
}

static void print_statistics(void) {
  pthread_mutex_lock(&lock);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  say("stat t=%lld.%03ld writes=%lu reads=%lu worst_ms=%.3f p99_ms=%.3f mismatches=%lu errors=%lu",
      (long long)t.tv_sec, t.tv_nsec / 1000000, second_writes, second_reads, worst_ms(&second), p99_ms(&second),
      total_mismatches, total_errors);
  second_writes = second_reads = 0;
  memset(&second, 0, sizeof second);
  pthread_mutex_unlock(&lock);
}

static void print_latency(void) {
  pthread_mutex_lock(&lock);
  say("latency count=%lu p99_ms=%.3f worst_ms=%.3f", count_of(&since_asked), p99_ms(&since_asked),
      worst_ms(&since_asked));
  memset(&since_asked, 0, sizeof since_asked);
  pthread_mutex_unlock(&lock);
}

// ---- one I/O ----

static void report_error(const struct disk *d, const char *operation, uint64_t sector, int error) {
  pthread_mutex_lock(&lock);
  total_errors++;
  if (reports++ < MAX_REPORTS)
    say("error volume=%s operation=%s sector=%lu errno=%d", d->name, operation, sector, error);
  pthread_mutex_unlock(&lock);
}

static void report_mismatch(const struct disk *d, uint64_t sector, uint32_t expected, enum stamp_kind kind,
                            uint32_t found) {
  char text[2][16];
  for (int i = 0; i < 2; i++) {
    uint32_t sequence = i ? found : expected;
    if (sequence == SEQUENCE_HOLE) strcpy(text[i], "hole");
    else snprintf(text[i], sizeof text[i], "%u", sequence);
  }
  pthread_mutex_lock(&lock);
  total_mismatches++;
  if (reports++ < MAX_REPORTS)
    say("mismatch volume=%s sector=%lu expected=%s found=%s", d->name, sector, text[0],
        kind == STAMP_BROKEN ? "broken" : text[1]);
  pthread_mutex_unlock(&lock);
}

static void verify(struct disk *d, uint64_t first, unsigned count, const char *buffer) {
  for (unsigned i = 0; i < count; i++) {
    uint32_t found = 0, expected = d->expected[first + i];
    enum stamp_kind kind = stamp_read(buffer + i * SECTOR_BYTES, d->volume, first + i, &found);
    if (kind != STAMP_BROKEN && (found == expected || expected == SEQUENCE_UNKNOWN)) continue;
    report_mismatch(d, first + i, expected, kind, found);
  }
}

static void do_read(struct worker *w, uint64_t first, unsigned count) {
  struct disk *d = w->disk;
  size_t bytes = count * SECTOR_BYTES;
  ssize_t done = pread(d->fd, w->buffer, bytes, (off_t)(first * SECTOR_BYTES));
  if (done != (ssize_t)bytes) report_error(d, "read", first, done < 0 ? errno : 0);
}

static void do_write(struct worker *w, uint64_t first, unsigned count) {
  struct disk *d = w->disk;
  bool zeroes = next_random(&w->random) % 100 < (uint64_t)zero_percent;
  if (!zeroes && next_random(&w->random) % 100 < (uint64_t)partial_percent) {
    unsigned skip = (unsigned)(next_random(&w->random) % count);
    first += skip;
    count = 1 + (unsigned)(next_random(&w->random) % (count - skip));
  }
  uint32_t sequence = __atomic_add_fetch(&d->sequence, 1, __ATOMIC_RELAXED);
  uint64_t range[2] = {first * SECTOR_BYTES, count * SECTOR_BYTES};
  bool ok;
  if (zeroes) {
    sequence = SEQUENCE_HOLE;
    ok = ioctl(d->fd, BLKZEROOUT, range) == 0;
  } else {
    for (unsigned i = 0; i < count; i++) stamp_write(w->buffer + i * SECTOR_BYTES, d->volume, first + i, sequence);
    ok = pwrite(d->fd, w->buffer, range[1], (off_t)range[0]) == (ssize_t)range[1];
  }
  if (!ok) {
    report_error(d, zeroes ? "zero" : "write", first, errno);
    sequence = SEQUENCE_UNKNOWN;  // the sectors may hold the old content or the new
  }
  for (unsigned i = 0; i < count; i++) d->expected[first + i] = sequence;
  if (next_random(&w->random) % (uint64_t)writes_per_fsync == 0 && fsync(d->fd) < 0)
    report_error(d, "fsync", first, errno);
}

// ---- the workers ----

// Waits until the next I/O may start; counts the worker as busy. False if there is none any more. Lock held.
static bool wait_for_turn(struct worker *w) {
  for (;;) {
    int64_t now = now_ns();
    if (w->disk->dropped) return false;
    if (stopped || rate == 0) {
      pthread_cond_wait(&changed, &lock);
    } else if (rate == RATE_FULL) {
      break;
    } else if (w->next > now) {
      struct timespec until = {w->next / NS_PER_SECOND, w->next % NS_PER_SECOND};
      pthread_cond_timedwait(&changed, &lock, &until);
    } else {
      if (w->next < now - MAX_CATCH_UP_NS) w->next = now - MAX_CATCH_UP_NS;
      w->next += NS_PER_SECOND * depth * disk_count / rate;
      break;
    }
  }
  busy++;
  return true;
}

static void *work(void *argument) {
  struct worker *w = argument;
  struct disk *d = w->disk;
  uint64_t blocks = (d->sectors + BLOCK_SECTORS - 1) / BLOCK_SECTORS;
  uint64_t own = (blocks - (uint64_t)w->index + (uint64_t)depth - 1) / (uint64_t)depth;
  for (;;) {
    pthread_mutex_lock(&lock);
    bool goes_on = wait_for_turn(w);
    pthread_mutex_unlock(&lock);
    if (!goes_on) return NULL;

    uint64_t first = (next_random(&w->random) % own * (uint64_t)depth + (uint64_t)w->index) * BLOCK_SECTORS;
    unsigned count = d->sectors - first < BLOCK_SECTORS ? (unsigned)(d->sectors - first) : BLOCK_SECTORS;
    bool reads = next_random(&w->random) % 100 < (uint64_t)read_percent;
    int64_t start = now_ns();
    if (reads) do_read(w, first, count);
    else do_write(w, first, count);
    int64_t took = now_ns() - start;
    if (reads) verify(d, first, count, w->buffer);

    pthread_mutex_lock(&lock);
    if (reads) second_reads++;
    else second_writes++;
    note_latency(&second, took);
    note_latency(&since_asked, took);
    if (--busy == 0) pthread_cond_broadcast(&quiet);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

// A byte every 5 ms on the second serial port: the host sees when this machine runs.
static void *heartbeat(void *unused) {
  (void)unused;
  int port = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
  struct termios raw;
  if (port < 0 || tcgetattr(port, &raw) < 0) return NULL;  // a domain without the second port
  cfmakeraw(&raw);
  tcsetattr(port, TCSANOW, &raw);
  int64_t next = now_ns();
  for (;;) {
    (void)!write(port, ".", 1);
    next += HEARTBEAT_NS;
    int64_t now = now_ns();
    if (next < now) next = now;
    struct timespec until = {next / NS_PER_SECOND, next % NS_PER_SECOND};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  }
  return NULL;
}

static void start_thread(void *(*body)(void *), void *argument, bool urgent) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  if (urgent) {
    struct sched_param priority = {.sched_priority = 50};
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &priority);
  }
  errno = pthread_create(&thread, &attributes, body, argument);
  if (errno) die("pthread_create");
}

// ---- commands ----

static void hold_load(void) {
  pthread_mutex_lock(&lock);
  stopped = true;
  while (busy) pthread_cond_wait(&quiet, &lock);
  pthread_mutex_unlock(&lock);
}

static void stop_load(void) {
  hold_load();
  for (int i = 0; i < disk_count; i++)
    if (fsync(disks[i]->fd) < 0) report_error(disks[i], "fsync", 0, errno);
}

// The last disk's workers end, and the guest can let go of the device.
static void drop_disk(void) {
  hold_load();
  struct disk *d = disks[disk_count - 1];
  if (fsync(d->fd) < 0) report_error(d, "fsync", 0, errno);
  close(d->fd);
  free(d->expected);
  pthread_mutex_lock(&lock);
  d->dropped = true;
  disk_count--;
  stopped = false;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  say("drop volume=%s", d->name);
}

static void print_sums(void) {
  for (int i = 0; i < disk_count; i++) {
    struct disk *d = disks[i];
    uint64_t digest = 0;
    for (uint64_t s = 0; s < d->sectors; s++) digest = digest_add(digest, s, d->expected[s]);
    say("sum volume=%s sectors=%lu digest=%016lx", d->name, d->sectors, digest);
  }
  say("sums disks=%d mismatches=%lu errors=%lu", disk_count, total_mismatches, total_errors);
}

static int take_disks(void);

static bool parse_rate(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  int wanted;
  if (!strcmp(text, "full")) wanted = RATE_FULL;
  else if (!strcmp(text, "idle")) wanted = 0;
  else if (end != text && !*end && number > 0 && number < 1000000) wanted = (int)number;
  else return false;
  pthread_mutex_lock(&lock);
  rate = wanted;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return true;
}

static void execute(const char *command) {
  if (!strcmp(command, "sum")) {
    stop_load();
    print_sums();
  } else if (!strcmp(command, "digest")) {
    hold_load();
    print_sums();
  } else if (!strcmp(command, "latency")) {
    print_latency();
  } else if (!strcmp(command, "go")) {
    pthread_mutex_lock(&lock);
    stopped = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    say("going");
  } else if (!strcmp(command, "off")) {
    stop_load();
    say("off");
    reboot(RB_POWER_OFF);
  } else if (!strcmp(command, "take")) {
    say("take disks=%d", take_disks());
  } else if (!strcmp(command, "drop") && disk_count > 1) {
    drop_disk();
  } else if (!strncmp(command, "rate ", 5) && parse_rate(command + 5)) {
    say("rate value=%s", command + 5);
  } else if (*command) {
    say("unknown command=\"%s\" known=\"rate full|idle|N, sum, digest, go, off, take, drop, latency\"", command);
  }
}

static void serve_console(void) {
  char line[128];
  size_t length = 0;
  int64_t next = now_ns() + NS_PER_SECOND;
  for (;;) {
    int64_t left = next - now_ns();
    struct pollfd console = {.fd = STDIN_FILENO, .events = POLLIN};
    if (left > 0 && poll(&console, 1, (int)(left / 1000000) + 1) > 0) {
      char c;
      if (read(STDIN_FILENO, &c, 1) != 1) continue;
      if (c == '\n' || c == '\r') {
        line[length] = 0;
        execute(line);
        length = 0;
      } else if (length < sizeof line - 1) {
        line[length++] = c;
      }
    }
    if (now_ns() >= next) {
      print_statistics();
      next += NS_PER_SECOND;
      if (next < now_ns()) next = now_ns() + NS_PER_SECOND;
    }
  }
}

// ---- start ----

static void read_settings(void) {
  static const struct {
    const char *name;
    int *value;
    int low, high;
  } settings[] = {{"load.depth", &depth, 1, MAX_DEPTH},
                  {"load.reads", &read_percent, 0, 100},
                  {"load.partial", &partial_percent, 0, 100},
                  {"load.zeroes", &zero_percent, 0, 100},
                  {"load.fsync", &writes_per_fsync, 1, 1000000},
                  {"load.fill", &fill, 0, 1000},
                  {"load.learn", &learn, 0, 1},
                  {"load.area", &area_mib, 0, 1 << 20}};
  char text[2048] = "";
  int fd = open("/proc/cmdline", O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) die("/proc/cmdline");
  close(fd);
  for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
    char *value = strchr(word, '=');
    if (strncmp(word, "load.", 5) || !value) continue;
    *value++ = 0;
    bool known = !strcmp(word, "load.rate") && parse_rate(value);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
      int number = atoi(value);
      if (strcmp(word, settings[i].name) || number < settings[i].low || number > settings[i].high) continue;
      *settings[i].value = number;
      known = true;
    }
    if (!known) {
      errno = EINVAL;
      die(word);
    }
  }
}

static struct disk *open_disk(const char *device) {
  struct disk *d = calloc(1, sizeof *d);
  char path[64];
  if (!d) die("disk");
  snprintf(d->device, sizeof d->device, "%.20s", device);
  snprintf(path, sizeof path, "/sys/block/%.20s/serial", device);
  int serial = open(path, O_RDONLY);
  ssize_t length = serial < 0 ? -1 : read(serial, d->name, sizeof d->name - 1);
  if (length <= 0) die("a disk without a serial");
  d->name[strcspn(d->name, "\n")] = 0;
  close(serial);
  snprintf(path, sizeof path, "/dev/%.20s", device);
  d->fd = open(path, O_RDWR | O_DIRECT);
  uint64_t bytes;
  if (d->fd < 0 || ioctl(d->fd, BLKGETSIZE64, &bytes) < 0) die(path);
  d->volume = volume_id(d->name);
  d->sectors = bytes / SECTOR_BYTES;
  uint64_t area = (uint64_t)area_mib << 20;
  if (area && area < bytes) d->sectors = area / SECTOR_BYTES;
  if (d->sectors < MAX_DEPTH * BLOCK_SECTORS) die("a disk of less than 64 KiB");
  d->expected = malloc(d->sectors * sizeof *d->expected);
  if (!d->expected) die("not enough memory for the table of a disk");
  for (uint64_t s = 0; s < d->sectors; s++)
    d->expected[s] = prefilled(d->volume, s, (uint32_t)fill) ? SEQUENCE_PREFILLED : SEQUENCE_HOLE;
  return d;
}

static void learn_disk(struct disk *d) {
  char *buffer = aligned_alloc(4096, LEARN_SECTORS * SECTOR_BYTES);
  if (!buffer) die("learn buffer");
  for (uint64_t s = 0; s < d->sectors; s += LEARN_SECTORS) {
    uint64_t count = d->sectors - s < LEARN_SECTORS ? d->sectors - s : LEARN_SECTORS;
    ssize_t done = pread(d->fd, buffer, count * SECTOR_BYTES, (off_t)(s * SECTOR_BYTES));
    if (done != (ssize_t)(count * SECTOR_BYTES)) report_error(d, "learn", s, errno);
    for (uint64_t i = 0; i < count; i++) {
      uint32_t *expected = &d->expected[s + i];
      if (stamp_read(buffer + i * SECTOR_BYTES, d->volume, s + i, expected) == STAMP_BROKEN) {
        report_mismatch(d, s + i, *expected, STAMP_BROKEN, 0);
        *expected = SEQUENCE_UNKNOWN;
      } else if (*expected != SEQUENCE_HOLE && *expected > d->sequence) {
        d->sequence = *expected;
      }
    }
  }
  free(buffer);
}

static void start_workers(struct disk *d) {
  for (int k = 0; k < depth; k++) {
    struct worker *w = calloc(1, sizeof *w);
    if (!w || !(w->buffer = aligned_alloc(4096, BLOCK_BYTES))) die("worker");
    w->disk = d;
    w->index = k;
    w->random = d->volume + (uint64_t)k + (uint64_t)now_ns();
    start_thread(work, w, false);
  }
}

static bool is_known(const char *device) {
  for (int i = 0; i < disk_count; i++)
    if (!strcmp(disks[i]->device, device)) return true;
  return false;
}

// Opens the disks that are not open yet, and returns how many there were.
static int open_disks(bool with_content) {
  struct dirent **entries;
  int before = disk_count, count = scandir("/sys/block", &entries, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    if (strncmp(entries[i]->d_name, "vd", 2) || is_known(entries[i]->d_name) || disk_count == MAX_DISKS) continue;
    struct disk *d = open_disk(entries[i]->d_name);
    if (with_content) learn_disk(d);
    pthread_mutex_lock(&lock);
    disks[disk_count++] = d;
    pthread_mutex_unlock(&lock);
  }
  return disk_count - before;
}

static int take_disks(void) {
  int taken = open_disks(true);
  for (int i = disk_count - taken; i < disk_count; i++) start_workers(disks[i]);
  return taken;
}

static void make_console_raw(void) {
  struct termios raw;
  if (tcgetattr(STDIN_FILENO, &raw) < 0) die("console");
  cfmakeraw(&raw);
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

int main(void) {
  make_console_raw();
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&changed, &monotonic);
  read_settings();
  start_thread(heartbeat, NULL, true);
  open_disks(learn);
  for (int i = 0; i < disk_count; i++) start_workers(disks[i]);
  say("ready disks=%d", disk_count);
  serve_console();
}
