# SPDX-License-Identifier: Apache-2.0
# $1: how many versions of the package are there now; 1 is the first installation
. /usr/share/vmferry/maintainer.sh
make_users_and_folders
join_group vmferry qemu
join_group vmferry-agent libvirt
archive_classes
announce_hook
if [ "$1" -gt 1 ]; then
  after_upgrade
fi
exit 0
