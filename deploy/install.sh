#!/usr/bin/env bash
# Installs adaptact as a service of systemd from a folder of wheels, without a network; again, to upgrade.
#
#   install.sh [--wheels DIR] [--python PYTHON] [--extras LIST] [--root DIR] [--no-start]
#   install.sh --rollback [--root DIR] [--no-start]
#
# Everything is checked first, and nothing is changed until all checks pass. Each version has an environment of its own
# below /opt/adaptact/versions; `current` names the one that runs and `previous` the one before. A version that does not
# become ready is taken back. Settings, keys, models and state are never touched.
set -euo pipefail
unset PYTHONPATH PYTHONHOME # the new environment's programs must find its own packages

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wheels=$here/wheels python=python3 extras=serve root='' start=yes rollback=no
needed_kb=1000000
problems=()

usage() { sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while (($#)); do
  case $1 in
    --wheels) wheels=${2:?a folder} && shift ;;
    --python) python=${2:?an interpreter} && shift ;;
    --extras) extras=${2:?extras, such as serve,images} && shift ;;
    --root) root=${2:?a folder} && shift ;;
    --no-start) start=no ;;
    --rollback) rollback=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

home=$root/opt/adaptact
units=$root/etc/systemd/system
models=$root/srv/adaptact/models

problem() { problems+=("$1"); }

stop_if_problems() {
  ((${#problems[@]} == 0)) && return
  printf 'error: %s\n' "${problems[@]}" >&2
  echo 'nothing was changed' >&2
  exit 1
}

check_machine() {
  [[ $root || $EUID == 0 ]] || problem "it must run as root: sudo install.sh"
  if [[ $start == yes ]] && ! systemctl --version >/dev/null 2>&1; then
    problem "systemctl is not here; --no-start installs without starting"
  fi
}

check_python() {
  if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    problem "\`$python\` is no Python of 3.11 or newer with venv (Debian: apt-get install python3-venv); see --python"
  fi
}

check_wheels() {
  local found=("$wheels"/adaptact-*.whl)
  if [[ ! -f $wheels/SHA256SUMS ]]; then
    problem "\`$wheels\` has no SHA256SUMS: it is no folder that \`make bundle\` made"
  elif ! (cd "$wheels" && sha256sum --check --strict --quiet SHA256SUMS >/dev/null 2>&1); then
    problem "a file in \`$wheels\` is missing or is not what SHA256SUMS says: copy the bundle again"
  elif [[ $(cd "$wheels" && printf '%s\n' *.whl | sort) != $(cut -c67- "$wheels/SHA256SUMS" | sort) ]]; then
    problem "\`$wheels\` has wheels that SHA256SUMS does not list: nobody vouches for them"
  elif ((${#found[@]} != 1)); then
    problem "\`$wheels\` has ${#found[@]} wheels of adaptact, expected one"
  else
    version=$(basename "${found[0]}" | cut -d- -f2)
  fi
}

check_space() {
  local place=$home free
  while [[ ! -d $place ]]; do place=$(dirname "$place"); done
  free=$(df --output=avail -k "$place" | tail -1)
  ((free >= needed_kb)) || problem "\`$place\` has $((free / 1000)) MB free, expected $((needed_kb / 1000))"
}

# Where a step fails, a half-built environment goes.
build_environment() {
  local target=$home/versions/$version
  if [[ -f $target/.complete ]]; then
    echo "version $version is there"
    return
  fi
  rm -rf "$target"
  trap 'rm -rf "'"$target"'"; echo "error: version $version was not installed, and what ran before still runs" >&2' EXIT
  mkdir -p "$home/versions"
  "$python" -m venv "$target"
  "$target/bin/pip" install --quiet --no-index --find-links "$wheels" "adaptact[$extras]==$version"
  "$target/bin/adaptact" --version >/dev/null
  touch "$target/.complete"
  trap - EXIT
  echo "version $version is installed"
}

# NAME -> TARGET, in one step for whoever looks.
point() {
  ln -sfn "$2" "$home/$1.new" && mv -T "$home/$1.new" "$home/$1"
}

restart() {
  [[ $start == yes ]] || return 0
  systemctl daemon-reload && systemctl enable --quiet adaptact.socket adaptact.service || return
  if ! compgen -G "$models/*" >/dev/null; then
    echo "\`$models\` holds no model yet: put one there, then \`systemctl start adaptact\`"
    return 0
  fi
  systemctl start adaptact.socket && systemctl restart adaptact.service
}

# current becomes TARGET; where that does not become ready, it is again what it was.
switch_to() {
  local target=$1 before
  before=$(readlink "$home/current" || true)
  point current "$target"
  if ! restart; then
    if [[ $before && $before != "$target" ]]; then
      point current "$before" && restart || true
      echo "error: ${target##*/} did not become ready; ${before##*/} runs again (journalctl -u adaptact says why)" >&2
    else
      echo "error: ${target##*/} did not become ready: journalctl -u adaptact says why" >&2
    fi
    exit 1
  fi
  if [[ $before && $before != "$target" ]]; then point previous "$before"; fi
  echo "version ${target##*/} is current"
}

check_machine
if [[ $rollback == yes ]]; then
  [[ -e $home/previous ]] || problem "\`$home/previous\` names no version to go back to"
  stop_if_problems
  switch_to "$(readlink "$home/previous")"
  exit 0
fi
check_python
check_wheels
check_space
stop_if_problems
build_environment
mkdir -p "$units" "$root/etc/adaptact" "$models"
cp "$here"/systemd/adaptact*.s* "$units/"
switch_to "versions/$version"
