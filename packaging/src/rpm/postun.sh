# SPDX-License-Identifier: Apache-2.0
# $1: how many versions stay; 0 is a removal
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
fi
if [ "$1" -eq 0 ]; then
  rm -rf /var/cache/vmferry
fi
if [ "$1" -eq 0 ] && [ -n "$(ls -A /var/lib/vmferry/volumes 2>/dev/null)" ]; then
  echo "vmferry: the volumes stay in /var/lib/vmferry/volumes, the configuration in /etc/vmferry"
fi
exit 0
