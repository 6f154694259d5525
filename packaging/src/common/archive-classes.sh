# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Makes the class data archive: the classes that relay, agent and command use, parsed and checked once, in the form in
# which the JVM has them in memory. With it a process starts in half the time. Only speed depends on it: without one, or
# with one that does not fit its program, the JVM loads the classes from the program. Does nothing if there is one that fits.
#
# The packages run it when program or Java change, and the relay's unit after each start. As root: whoever may write an
# archive decides what the command does.

set -eu
. /usr/share/vmferry/java.sh
jar=/usr/share/vmferry/vmferry.jar
list=/usr/share/vmferry/classes.list

if [ -z "$archive" ] || [ ! -r "$list" ]; then
  exit 0
fi
# The JVM itself looks at the jar's date and size only, and all builds of a release may have the same date. And a package of
# Java that was built again may call its Java the same, though it doesn't take the other one's archive.
made_for=$(
  sha256sum <"$jar"
  stat -L -c '%n %s %Y' "$home/lib/server/libjvm.so" "$home/lib/modules" 2>/dev/null || true
)
if [ -r "$archive" ] && [ "$(cat "$archive.of" 2>/dev/null)" = "$made_for" ]; then
  exit 0
fi
# Those of other builds of Java, and of the program before an upgrade.
rm -f /var/cache/vmferry/classes-*
mkdir -p /var/cache/vmferry
trap 'rm -f "$archive.new"' EXIT
# The collector is the relay's: only with it the archive has objects, too. Standard output tells of each class that this
# Java doesn't have.
"$java" -Xshare:dump -Xmx512m -XX:+UseG1GC -XX:SharedClassListFile="$list" -XX:SharedArchiveFile="$archive.new" \
  -Xlog:disable -Xlog:all=error:stderr -cp "$jar" >/dev/null
chmod 644 "$archive.new"
mv "$archive.new" "$archive"
echo "$made_for" >"$archive.of"
