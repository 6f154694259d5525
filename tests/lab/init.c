// SPDX-License-Identifier: Apache-2.0
//
// Process 1 of a lab host: adopts and reaps what daemons leave behind, so that a dead QEMU is really gone for libvirtd.
// When this process is killed the kernel kills every other process of the host.

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  for (;;) {
    if (wait(NULL) < 0 && errno == ECHILD) usleep(20000);  // nothing to reap: look again in 20 ms
  }
}
