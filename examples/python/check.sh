#!/bin/sh
# Installs the package into an environment of its own below target/, and runs its tests against a mesh
# of real processes: `sh check.sh`, or `sh check.sh test_calls` for some of them. Needs
# target/debug/remit (`cargo build -p remit-cli`), or another one that REMIT names.
set -eu
cd "$(dirname "$0")"
repository=$(cd ../.. && pwd)
: "${REMIT:=$repository/target/debug/remit}"
environment=$repository/target/python
# Without this pip spends half of its time on compiling modules that are imported once.
export REMIT PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
[ -x "$REMIT" ] || { echo "there is no $REMIT: cargo build -p remit-cli"; exit 1; }
[ -x "$environment/bin/pip" ] || python3 -m venv "$environment"
# Builds a copy, so that no files are left in the source. The copy has the schema in the place where
# the build looks for it.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/examples"
cp -R "$repository/schema" "$copy/schema"
cp -R "$repository/examples/python" "$copy/examples/python"
"$environment/bin/pip" install --quiet --upgrade "$copy/examples/python"
cd tests
export REMIT_REPOSITORY="$copy" PYTHONDONTWRITEBYTECODE=1
[ $# -gt 0 ] || set -- test_*.py
# The modules run at the same time: each has a mesh of its own and mostly waits.
for module; do
    module=${module%.py}
    "$environment/bin/python" -m unittest "$module" >"$copy/$module.log" 2>&1 </dev/null &
    echo "$!" >"$copy/$module.pid"
done
failed=0
for module; do
    module=${module%.py}
    wait "$(cat "$copy/$module.pid")" || failed=1
    printf '== %s\n' "$module"
    cat "$copy/$module.log"
done
exit $failed
