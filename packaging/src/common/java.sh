# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Finds the Java that vmferry runs with; sourced. Sets
#   java     path of a Java 17 or later, which need not be the one that the distribution's alternatives point to; or empty
#   home     where that Java is installed
#   archive  where its class data archive is, if there is one (archive-classes.sh); or empty
#
# VMFERRY_JAVA  path of the java to use

least=17

# Whether a JVM is new enough, by the file "release" in its home, without starting it; sets $archive as well.
new_enough() {
  [ -x "$1" ] || return 1
  home=$(readlink -f "$1")
  home=${home%/bin/java}
  [ -r "$home/release" ] || return 1
  major=0 build=
  while read -r line; do
    value=${line#*\"}
    value=${value%\"*}
    case $line in
      JAVA_VERSION=*) major=${value%%[!0-9]*} ;;
      JAVA_RUNTIME_VERSION=*) build=$value ;;
    esac
  done <"$home/release"
  # Only the JVM that wrote an archive can read it, so its name has the exact build.
  case $build in
    '' | *[!A-Za-z0-9.+_~-]*) archive= ;;
    *) archive=/var/cache/vmferry/classes-$build.jsa ;;
  esac
  [ "${major:-0}" -ge "$least" ]
}

java='' home='' archive=''
for candidate in "${VMFERRY_JAVA:-}" /usr/bin/java /usr/lib/jvm/*/bin/java; do
  if new_enough "$candidate"; then
    java=$candidate
    break
  fi
done
