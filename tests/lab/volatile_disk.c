// SPDX-License-Identifier: Apache-2.0
//
// A file that behaves as a disk with a volatile write cache.
//
//   volatile_disk --image IMAGE --survive PERMILLE --seed N MOUNTPOINT
//
// MOUNTPOINT gets one file, "disk", of the size and content of IMAGE. What is written to it stays in this process and
// goes to IMAGE at fsync only. Killed, it loses all that was not forced. Ended by SIGTERM, it does what a disk may do as
// well: of the sectors that were not forced, PERMILLE of a thousand, drawn from the seed, reach IMAGE all the same, in
// no order and torn within blocks.

#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define DISK "/disk"

static struct options {
  char *image;
  unsigned survive;
  unsigned seed;
} options;

static const struct fuse_opt OPTIONS[] = {
    {"--image %s", offsetof(struct options, image), 0},
    {"--survive %u", offsetof(struct options, survive), 0},
    {"--seed %u", offsetof(struct options, seed), 0},
    FUSE_OPT_END,
};

static int image;
static off_t size;
static char **cache; // by sector; NULL where IMAGE is up to date

static int is_disk(const char *path) { return strcmp(path, DISK) == 0; }

static int disk_getattr(const char *path, struct stat *stat, struct fuse_file_info *file) {
  (void)file;
  memset(stat, 0, sizeof *stat);
  if (strcmp(path, "/") == 0) {
    stat->st_mode = S_IFDIR | 0755;
    stat->st_nlink = 2;
  } else if (is_disk(path)) {
    stat->st_mode = S_IFREG | 0600;
    stat->st_nlink = 1;
    stat->st_size = size;
  } else {
    return -ENOENT;
  }
  return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file) {
  (void)file;
  return is_disk(path) ? 0 : -ENOENT;
}

// The kernel asks in pages, so offsets and lengths are whole sectors; the size is one of them as well.
static int disk_read(const char *path, char *data, size_t length, off_t offset, struct fuse_file_info *file) {
  (void)path, (void)file;
  if (offset >= size)
    return 0;
  if ((off_t)length > size - offset)
    length = size - offset;
  if (pread(image, data, length, offset) != (ssize_t)length)
    return -EIO;
  for (size_t done = 0; done < length; done += SECTOR) {
    const char *newer = cache[(offset + done) / SECTOR];
    if (newer)
      memcpy(data + done, newer, SECTOR);
  }
  return length;
}

static int disk_write(const char *path, const char *data, size_t length, off_t offset, struct fuse_file_info *file) {
  (void)path, (void)file;
  if (offset % SECTOR || length % SECTOR || offset + (off_t)length > size)
    return -EINVAL;
  for (size_t done = 0; done < length; done += SECTOR) {
    char **sector = &cache[(offset + done) / SECTOR];
    if (!*sector && !(*sector = malloc(SECTOR)))
      return -ENOMEM;
    memcpy(*sector, data + done, SECTOR);
  }
  return length;
}

static int to_image(off_t number) {
  if (pwrite(image, cache[number], SECTOR, number * SECTOR) != SECTOR)
    return -EIO;
  free(cache[number]);
  cache[number] = NULL;
  return 0;
}

static int disk_fsync(const char *path, int data_only, struct fuse_file_info *file) {
  (void)path, (void)data_only, (void)file;
  for (off_t number = 0; number < size / SECTOR; number++)
    if (cache[number] && to_image(number))
      return -EIO;
  return 0;
}

static void lose_power(void *nothing) {
  (void)nothing;
  srandom(options.seed);
  for (off_t number = 0; number < size / SECTOR; number++)
    if (cache[number] && random() % 1000 < options.survive)
      to_image(number);
}

static const struct fuse_operations OPERATIONS = {
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .destroy = lose_power,
};

int main(int argc, char **argv) {
  struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
  struct stat stat;
  if (fuse_opt_parse(&args, &options, OPTIONS, NULL) || !options.image) {
    fprintf(stderr, "volatile_disk: --image IMAGE is missing\n");
    return 2;
  }
  image = open(options.image, O_RDWR | O_CLOEXEC);
  if (image < 0 || fstat(image, &stat)) {
    fprintf(stderr, "volatile_disk: %s: %s\n", options.image, strerror(errno));
    return 1;
  }
  size = stat.st_size / SECTOR * SECTOR;
  cache = calloc(size / SECTOR, sizeof *cache);
  if (!cache) {
    fprintf(stderr, "volatile_disk: no memory for %jd bytes\n", (intmax_t)size);
    return 1;
  }
  // One thread: requests are carried out in the order in which they come.
  fuse_opt_add_arg(&args, "-f");
  fuse_opt_add_arg(&args, "-s");
  return fuse_main(args.argc, args.argv, &OPERATIONS, NULL);
}
