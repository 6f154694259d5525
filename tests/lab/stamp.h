// SPDX-License-Identifier: Apache-2.0
//
// The stamp: what every 512-byte sector of a lab volume holds, so that a sector that is old, lost, misplaced, torn or
// of another volume can't go unnoticed. Shared by the guest's load and the host's verifier.
//
// A sector is a hole (512 zero bytes) or a header of four 64-bit words and 60 words of filling that follow from the
// header. Little-endian, like both ends.

#ifndef STAMP_H
#define STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_BYTES 512
#define SECTOR_WORDS (SECTOR_BYTES / 8)
#define BLOCK_SECTORS 8
#define STAMP_MAGIC 0x59525246u  // "FRRY"

// Sequence numbers: 0 is the content before the guest's first write; the guest's writes count from 1.
#define SEQUENCE_PREFILLED 0u
#define SEQUENCE_HOLE UINT32_MAX
#define SEQUENCE_UNKNOWN (UINT32_MAX - 1)  // a write failed, or the sector is broken

// The part of a volume that is prefilled is decided per extent of this many sectors (64 KiB).
#define FILL_EXTENT_SECTORS 128

struct stamp {
  uint32_t magic;
  uint32_t sequence;
  uint64_t volume;
  uint64_t sector;
  uint64_t key;  // check of the header, start of the filling
};

enum stamp_kind { STAMP_VALID, STAMP_HOLE, STAMP_BROKEN };

static inline uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// FNV-1a: a volume is known by its name, which the guest reads as the disk's serial.
static inline uint64_t volume_id(const char *name) {
  uint64_t id = 0xCBF29CE484222325ULL;
  for (; *name; name++) id = (id ^ (unsigned char)*name) * 0x100000001B3ULL;
  return id;
}

static inline uint64_t stamp_key(uint64_t volume, uint64_t sector, uint32_t sequence) {
  return mix64(volume ^ mix64(sector * 0x9E3779B97F4A7C15ULL + sequence + 1));
}

static inline uint64_t stamp_filling(uint64_t key, size_t word) { return key + word * 0xD1342543DE82EF95ULL; }

static inline void stamp_write(void *sector_data, uint64_t volume, uint64_t sector, uint32_t sequence) {
  uint64_t *words = sector_data;
  struct stamp *s = sector_data;
  *s = (struct stamp){STAMP_MAGIC, sequence, volume, sector, stamp_key(volume, sector, sequence)};
  for (size_t i = sizeof *s / 8; i < SECTOR_WORDS; i++) words[i] = stamp_filling(s->key, i);
}

// Reads the stamp of a sector; sets the sequence number unless the sector is broken.
static inline enum stamp_kind stamp_read(const void *sector_data, uint64_t volume, uint64_t sector,
                                         uint32_t *sequence) {
  const uint64_t *words = sector_data;
  const struct stamp *s = sector_data;
  uint64_t difference = 0;
  if (words[0] == 0) {
    for (size_t i = 1; i < SECTOR_WORDS; i++) difference |= words[i];
    if (difference) return STAMP_BROKEN;
    *sequence = SEQUENCE_HOLE;
    return STAMP_HOLE;
  }
  if (s->magic != STAMP_MAGIC || s->volume != volume || s->sector != sector ||
      s->key != stamp_key(volume, sector, s->sequence))
    return STAMP_BROKEN;
  for (size_t i = sizeof *s / 8; i < SECTOR_WORDS; i++) difference |= words[i] ^ stamp_filling(s->key, i);
  if (difference) return STAMP_BROKEN;
  *sequence = s->sequence;
  return STAMP_VALID;
}

// Whether a sector has content before the guest's first write, if per_mille of the volume does.
static inline bool prefilled(uint64_t volume, uint64_t sector, uint32_t per_mille) {
  return mix64(volume + sector / FILL_EXTENT_SECTORS) % 1000 < per_mille;
}

// The digest of a volume: this, from 0, over all sectors in order.
static inline uint64_t digest_add(uint64_t digest, uint64_t sector, uint32_t sequence) {
  return mix64(digest ^ (sector << 32 | sequence)) + sector;
}

#endif
