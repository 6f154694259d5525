# SPDX-License-Identifier: Apache-2.0
# $1: how many versions stay; 0 is a removal
if [ "$1" -eq 0 ]; then
  . /usr/share/vmferry/maintainer.sh
  refuse_removal_in_use || exit 1
  stop_processes
fi
exit 0
