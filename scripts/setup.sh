# shellcheck shell=bash
# Sourced by quickstart, run-tests and datasets/get: installs what packages.txt names and this machine lacks.
#
# Quick when nothing is missing (one dpkg-query, no network). Never asks a question: apt runs
# non-interactively, and sudo is used only when not root; it is told beforehand why.
# The caller sets ENGRAM_ROOT, the folder that holds packages.txt, and may run under `set -e`.

# Numbers, messages and sort orders that scripts read again must not depend on the user's language.
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
warn() { printf '%s: warning: %s\n' "${0##*/}" "$*" >&2; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# packages_wanted: the packages of packages.txt, one a line.
packages_wanted() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$ENGRAM_ROOT/packages.txt"; }

# packages_missing: those of packages.txt that are not installed, one a line.
packages_missing() {
  local names installed
  mapfile -t names < <(packages_wanted)
  # dpkg-query fails when one of the names is unknown to it, and still prints the others.
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${names[@]}" 2>/dev/null |
    sed -n 's/^.i. *//p') || true
  printf '%s\n' "${names[@]}" | grep -vxF -f <(printf '%s\n' "$installed" | sed '/^$/d') || true
}

# as_root COMMAND...: runs it as root, through sudo where needed; sudo asks only at a terminal.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo -- "$@"
  else
    sudo -n -- "$@"
  fi
}

# need_root WHY: ends with a clear message unless this user is root or may become it by sudo.
need_root() {
  [ "$(id -u)" -eq 0 ] && return
  command -v sudo >/dev/null || die "$1 needs root, and there is no sudo here: run this once as root: $2"
  say "$1 needs root: using sudo, which may ask for your password."
  as_root true || die "sudo was refused: run this once as root: $2"
}

# apt_run ARGUMENT...: apt-get as root, without questions; up to four times, since mirrors and locks fail in passing.
apt_run() {
  local attempt
  for attempt in 1 2 3 4; do
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
      -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" && return
    [ "$attempt" -eq 4 ] && return 1
    warn "apt-get $1 failed (attempt $attempt of 4), trying again in $((attempt * 5)) s"
    sleep $((attempt * 5))
  done
}

# apt_update: fresh package lists. Lists that cannot be renewed are no reason to stop: the old ones may do.
apt_update() {
  apt_run -o APT::Update::Error-Mode=any update ||
    warn "the package lists could not be renewed; going on with those that are here"
}

# setup_packages: installs what is missing of packages.txt; ends the script when that fails.
setup_packages() {
  local missing by_hand
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    warn "no apt here; these Debian packages, or their like, are needed: $(packages_wanted | tr '\n' ' ')"
    return
  fi
  mapfile -t missing < <(packages_missing)
  [ "${#missing[@]}" -eq 0 ] && return
  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  by_hand="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  need_root "Installing packages" "$by_hand"
  apt_update
  apt_run install --no-install-recommends "${missing[@]}" ||
    die "the packages could not be installed; see apt's message above, or run as root: $by_hand"
}
