#!/bin/sh
# run.sh SOURCE_FOLDER BUILD_FOLDER: installs ajv, exactly as locked, into the build tree and compares verdicts. Exit code 77 =
# skipped: without node or the packages there is nothing to compare with.
set -eu
source=$1
modules=$2/npm/schema
schemas=$2/share/rtsup/schemas
here=$source/tests/manifest/ajv
if grep -q '"resolved"' "$here/package-lock.json"; then
  echo "package-lock.json names a registry; make it anew with the .npmrc beside it" >&2
  exit 1
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "skipped: node or npm is not installed"
  exit 77
fi
mkdir -p "$modules"
if ! cmp -s "$here/package-lock.json" "$modules/package-lock.json" || [ ! -d "$modules/node_modules/ajv" ]; then
  cp "$here/package.json" "$here/.npmrc" "$modules/"
  rm -f "$modules/package-lock.json"
  cp "$here/package-lock.json" "$modules/package-lock.new"
  cp "$modules/package-lock.new" "$modules/package-lock.json"
  if ! (cd "$modules" && npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1); then
    rm -f "$modules/package-lock.json"
    echo "skipped: npm could not install ajv:"
    tail -n 5 "$modules/npm.log"
    exit 77
  fi
fi
exec node "$here/compare.mjs" "$source" "$schemas" "$modules"
