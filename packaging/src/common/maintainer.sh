# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the packages' scripts do when vmferry is installed, upgraded and removed; sourced by them, of DEB and RPM. Needs
# no running systemd: in an image that is being built there is none, and its next boot does the rest.

maintainer_run=/run/vmferry
maintainer_config=/etc/vmferry/vmferry.yaml
maintainer_default=/usr/share/vmferry/vmferry.yaml
apparmor_local=/etc/apparmor.d/local/abstractions/libvirt-qemu
apparmor_begin="# vmferry: begin (the package removes these lines)"
apparmor_end="# vmferry: end"

systemd_runs() {
  [ -d /run/systemd/system ]
}

unit_runs() {
  systemd_runs && systemctl --quiet is-active "$1"
}

make_users_and_folders() {
  systemd-sysusers vmferry.conf
  if command -v systemd-tmpfiles >/dev/null; then
    # Complains where /run can't be written to, such as in an image that is being built.
    systemd-tmpfiles --create vmferry.conf || true
  fi
}

# Puts a user of ours into a group of libvirt's or QEMU's, if that is there.
join_group() {
  if getent group "$2" >/dev/null; then
    usermod --append --groups "$2" "$1"
  else
    echo "vmferry: there is no group $2 on this host: put the user $1 into the group that has its place" \
      "(docs: operations, set up)" >&2
  fi
}

# The configuration is the operator's from the first minute: `node` must be set in it. So it is no conffile: it is made
# once and never touched again, and a purge that is refused leaves it in place.
install_config() {
  if [ ! -e "$maintainer_config" ]; then
    mkdir -p /etc/vmferry/pki
    cp "$maintainer_default" "$maintainer_config.new"
    chmod 644 "$maintainer_config.new"
    mv "$maintainer_config.new" "$maintainer_config"
  fi
}

# libvirt's AppArmor profile of a guest lets QEMU reach disks that are files, and nothing of an NBD disk on a socket.
# Since libvirt 10 it includes libvirt-qemu.d, where the package has its rule; older ones include a file of local
# changes, which gets a line that includes the same folder.
allow_qemu_in_apparmor() {
  if [ -f "$apparmor_local" ] && ! grep -q 'libvirt-qemu\.d>' /etc/apparmor.d/abstractions/libvirt-qemu &&
    ! grep -qF "$apparmor_begin" "$apparmor_local"; then
    printf '%s\n%s\n%s\n' "$apparmor_begin" "include if exists <abstractions/libvirt-qemu.d>" "$apparmor_end" \
      >>"$apparmor_local"
  fi
}

forbid_qemu_in_apparmor() {
  if [ -f "$apparmor_local" ]; then
    sed -i "/^$apparmor_begin\$/,/^$apparmor_end\$/d" "$apparmor_local"
  fi
}

# libvirt looks for hooks when it starts and when it is told to reload, which disturbs no guest and no connection.
announce_hook() {
  systemd_runs || return 0
  systemctl daemon-reload || true
  for daemon in libvirtd virtqemud; do
    if unit_runs "$daemon.service"; then
      systemctl reload "$daemon.service" || true
    fi
  done
}

# Lets relay, agent and command start in half the time; they start without it, too.
archive_classes() {
  if ! /bin/sh /usr/share/vmferry/archive-classes.sh; then
    echo "vmferry: no class data archive was made; relay and commands take about a second longer to start." \
      "To try again: \`sh /usr/share/vmferry/archive-classes.sh\`" >&2
  fi
}

# Before the program is replaced: the archive is of the old one, and the JVM might not notice.
forget_classes() {
  rm -f /var/cache/vmferry/classes-*
}

# Whether guests use the relay, in words; empty if they don't. A relay that runs and doesn't answer is in use.
relay_use() {
  unit_runs vmferry-relay.service || return 0
  status=$(curl --silent --fail --max-time 10 --unix-socket "$maintainer_run/relay.sock" \
    http://localhost/v1/status) || {
    echo "it does not answer, so guests may use it"
    return 0
  }
  if printf '%s' "$status" | grep -Eq '"clients" *: *[1-9]'; then
    echo "guests use its volumes"
  fi
}

# The agent is replaced at once; guests' I/O does not depend on it. The relay only if no guest would notice.
after_upgrade() {
  systemd_runs || return 0
  systemctl try-restart vmferry-agent.service || true
  use=$(relay_use)
  if [ -n "$use" ]; then
    echo "vmferry: the relay was not restarted: $use. It goes on with the version it was started with."
    echo "vmferry: to renew it, move this host's guests away or shut them down, then" \
      "\`systemctl restart vmferry-relay\`; guests that still run pause for some seconds and go on by themselves."
  else
    systemctl try-restart vmferry-relay.service || true
  fi
}

refuse_removal_in_use() {
  use=$(relay_use)
  if [ -n "$use" ]; then
    echo "vmferry: not removed: vmferry-relay runs and $use." >&2
    echo "vmferry: move the guests away or shut them down (\`vmferry volume list\`), or stop the relay yourself:" \
      "\`systemctl stop vmferry-relay\`. Then remove the package again." >&2
    return 1
  fi
}

stop_processes() {
  systemd_runs || return 0
  systemctl --no-reload disable --now vmferry-agent.service vmferry-relay.service || true
}
