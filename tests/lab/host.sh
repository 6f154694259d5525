#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First program inside a lab host's namespaces: gives it a hostname, settings and folders of its own, then becomes its process 1.
#   host.sh NAME FOLDER INIT
set -eu
name=$1 folder=$2 init=$3

hostname "$name"
ip link set lo up
# TCP as Debian has it, whatever the machine is set to: what goes over the WAN depends on it. Not every kernel lets a
# namespace choose cubic.
(cd /proc/sys/net/ipv4 && echo 4096 131072 6291456 >tcp_rmem && echo 4096 16384 4194304 >tcp_wmem)
echo cubic 2>/dev/null >/proc/sys/net/ipv4/tcp_congestion_control || true
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/lab
mount -t overlay -o "lowerdir=/etc,upperdir=$folder/etc,workdir=$folder/etc-work" overlay /etc
# The machine's own files, below what this host makes and mounts there: nothing is made outside, and nothing that goes
# outside takes a mount of this host along.
sed 's:/[^/]*$::' "$folder/own-folders" | sort -u | while read -r parent; do
  mkdir -p "/run/lab/over$parent" "/run/lab/over-work$parent"
  mount -t overlay -o "lowerdir=$parent,upperdir=/run/lab/over$parent,workdir=/run/lab/over-work$parent" overlay "$parent"
done
while read -r path; do
  mkdir -p "$path"
  mount --bind "$folder/root$path" "$path"
done <"$folder/own-folders"
exec "$init"
