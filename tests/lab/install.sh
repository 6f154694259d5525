#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Inside a lab host: what dpkg does with the package, and what becomes of it when the host is gone: nothing.
#   install.sh FOLDER
# FOLDER has the package's files in `tree`, its scripts in `control`, and what all hosts may share of /var/cache/vmferry in
# `cache`: the class data archive takes seconds to make.
set -eu
folder=$1

mount -t overlay -o "ro,lowerdir=$folder/tree/usr:/usr" overlay /usr
mount --bind "$folder/cache" /var/cache/vmferry
cp -a "$folder/tree/etc/." /etc/
exec flock "$folder/lock" sh "$folder/control/postinst" configure ''
