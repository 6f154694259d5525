// SPDX-License-Identifier: Apache-2.0
//
// stamp.h as a shared library for the host's Python tools.

#include "stamp.h"

#include <string.h>

uint64_t stamp_volume_id(const char *name) { return volume_id(name); }

// Fills a buffer with the content before the guest's first write; false if all of it is a hole.
bool stamp_prefill(void *data, size_t sectors, uint64_t first, uint64_t volume, uint32_t per_mille) {
  bool any = false;
  for (size_t i = 0; i < sectors; i++) {
    char *sector = (char *)data + i * SECTOR_BYTES;
    if (prefilled(volume, first + i, per_mille)) {
      stamp_write(sector, volume, first + i, SEQUENCE_PREFILLED);
      any = true;
    } else {
      memset(sector, 0, SECTOR_BYTES);
    }
  }
  return any;
}

struct check {
  uint64_t digest;
  uint64_t holes;
  uint64_t written;  // sectors with a valid stamp of the guest's load
  uint64_t broken;
  uint64_t first_broken;  // sector; of no meaning while broken is 0
};

// Continues a check with the next sectors.
void stamp_check(struct check *c, const void *data, size_t sectors, uint64_t first, uint64_t volume) {
  for (size_t i = 0; i < sectors; i++) {
    uint32_t sequence = SEQUENCE_UNKNOWN;
    switch (stamp_read((const char *)data + i * SECTOR_BYTES, volume, first + i, &sequence)) {
      case STAMP_HOLE:
        c->holes++;
        break;
      case STAMP_VALID:
        if (sequence != SEQUENCE_PREFILLED) c->written++;
        break;
      case STAMP_BROKEN:
        if (c->broken++ == 0) c->first_broken = first + i;
        break;
    }
    c->digest = digest_add(c->digest, first + i, sequence);
  }
}
