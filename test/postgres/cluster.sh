#!/usr/bin/env bash
# A PostgreSQL server of our own, in a temporary directory and on a Unix socket in
# it, that ends with this script and leaves nothing behind.
#
#   cluster.sh [--fast] COMMAND…   runs COMMAND with SWAB_TEST_POSTGRES, its URL
#   cluster.sh [--fast]            prints the URL, then obeys the lines "restart",
#                                  "stop" and "start" (each answered with its name)
#                                  until the standard input ends
#
# With --fast a commit is not flushed to the disk, and there may be none: for what
# tests no crash.
set -euo pipefail

fast=
if [ "${1:-}" = --fast ]; then
  fast=1
  shift
fi

bin=
for d in /usr/lib/postgresql/*/bin "$(dirname "$(command -v pg_ctl 2>/dev/null || echo /nowhere/x)")"; do
  if [ -x "$d/initdb" ] && [ -x "$d/pg_ctl" ] && [ -x "$d/postgres" ]; then bin=$d; fi
done
if [ -z "$bin" ]; then
  echo "There is no PostgreSQL server here: install Debian's package postgresql (make deps does), or set SWAB_TEST_POSTGRES to the URL of a superuser." >&2
  exit 1
fi

# It refuses to run as root.
as=()
user=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
  user=postgres
  id -u postgres >/dev/null 2>&1 || user=nobody
  as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --)
fi

# The name is short, since a socket's may have about 100 characters. In memory a
# database is made four times faster, and each test makes one.
within=/tmp
if [ -n "$fast" ] && [ -w /dev/shm ] && [ "$(df -k --output=avail /dev/shm | tail -n 1)" -gt 2000000 ]; then within=/dev/shm; fi
dir=$(mktemp -d "$within/swab-pg-XXXXXX")
control() { "${as[@]}" env HOME="$dir" LC_ALL=C "$bin/pg_ctl" -D "$dir/data" -w -t 60 -s "$@" >>"$dir/log" 2>&1 9>&-; }
finish() {
  trap '' INT TERM HUP
  control stop -m immediate || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
[ ${#as[@]} -eq 0 ] || chown "$user" "$dir"
cd "$dir"
exec 9>&1 # kept from the server, which would hold a caller's pipe open

settings=(
  "listen_addresses = ''" "unix_socket_directories = '$dir'" "max_connections = 400" "shared_buffers = 256MB"
  "logging_collector = off" "log_min_messages = warning" "max_wal_size = 2GB"
)
[ -z "$fast" ] || settings+=("fsync = off" "full_page_writes = off" "wal_level = minimal" "max_wal_senders = 0")
if ! "${as[@]}" env HOME="$dir" LC_ALL=C "$bin/initdb" -D "$dir/data" -U swab -A trust -E UTF8 --no-sync >"$dir/log" 2>&1 9>&-; then
  cat "$dir/log" >&2
  exit 1
fi
printf '%s\n' "${settings[@]}" >>"$dir/data/postgresql.conf"
if ! control -l "$dir/server.log" start; then
  cat "$dir/log" "$dir/server.log" >&2
  exit 1
fi
url="postgres:///postgres?host=$dir&user=swab"

if [ $# -gt 0 ]; then
  cd "$OLDPWD"
  SWAB_TEST_POSTGRES=$url "$@" 9>&-
  exit
fi
echo "$url"
while read -r line; do
  case $line in
    restart) control -l "$dir/server.log" -m immediate restart ;;
    stop) control -m immediate stop ;;
    start) control -l "$dir/server.log" start ;;
    *) echo "unknown: $line" >&2; exit 1 ;;
  esac
  echo "$line"
done
