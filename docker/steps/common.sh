# shellcheck shell=bash
# What every step shares; to be sourced. A step is one service's command or one part of an image: the Dockerfile and
# compose.yaml run it in a container, bare.sh runs the same file on a machine without one.
set -euo pipefail

SECRETS=${SECRETS:-/run/secrets} # a folder with one file a secret; compose mounts it there
DATA=${DATA:-/data}              # what a service keeps
HOST=${HOST:-0.0.0.0}            # the address that a service listens on
SCRATCH=${SCRATCH:-/tmp}         # files that need not outlive a service

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# secret NAME: its value. No secret is ever an argument of a program: anybody on a machine can list those.
secret() {
    [[ -r $SECRETS/$1 ]] || fail "secret $1 is missing in $SECRETS: run docker/make-secrets.sh first"
    local value
    value=$(<"$SECRETS/$1")
    [[ -n $value ]] || fail "secret $1 in $SECRETS is empty: remove the file and run docker/make-secrets.sh again"
    printf '%s' "$value"
}

# private FILE: standard input as a file that only its owner may read.
private() {
    (umask 077 && cat >"$1")
}
