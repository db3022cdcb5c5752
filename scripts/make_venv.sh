#!/usr/bin/env bash
# Builds .venv, for the Makefile: scripts/make_venv.sh PYTHON EXTRAS
# A .venv of the same Python and the same extras is brought up to date; any other is emptied first,
# because the CPU and the GPU wheel of TensorFlow write the same files.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
extras=$2
stamp=.venv/.installed-$extras

fail() {
  echo "make: $*" >&2
  exit 2
}

version_of() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

reusable() {
  [ "$(version_of .venv/bin/python)" = "$version" ] &&
    .venv/bin/python -m pip --version >/dev/null 2>&1 &&
    ! compgen -G '.venv/.installed-*' | grep -qvxF "$stamp"
}

version=$(version_of "$python") ||
  fail "'$python' does not run: install Python 3.11, 3.12 or 3.13, or name one with PYTHON=/path/to/python3.11"
case $version in
  3.11 | 3.12 | 3.13) ;;
  *) fail "'$python' is Python $version, needed is 3.11, 3.12 or 3.13: name one with PYTHON=/path/to/python3.11" ;;
esac
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "'$python' lacks its venv module: install it (Debian, Ubuntu: apt-get install python3-venv)"

echo "Installing the packages into .venv (Python $version, extras $extras; about 2 GB with cpu, once)..."
reusable || "$python" -m venv --clear .venv
rm -f .venv/.installed-*
.venv/bin/python -m pip install --quiet --quiet --no-input --disable-pip-version-check \
  --progress-bar=off --editable ".[$extras]" ||
  fail "the installation into .venv failed (see above): correct the cause and run make again"
touch "$stamp"
