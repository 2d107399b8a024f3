#!/usr/bin/env bash
# Whether a service answers: health.sh SERVICE. The address is as for the service itself. Prints why it does not.
source "$(dirname "$0")/common.sh"

address=${HOST/0.0.0.0/127.0.0.1}
# answers PATH PORT: asked by a program that each of the images has
answers() {
    python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' "http://$address:$2$1" 2>&1 |
        tail -n 1
    return "${PIPESTATUS[0]}"
}
case ${1:-} in
    postgres) pg_isready --quiet --host "$address" --port "${PORT:-5432}" --username mlflow ;;
    artifacts) answers /healthz "${PORT:-8333}" ;;
    mlflow) answers /health "${PORT:-5000}" ;;
    # Ray's agent knows whether its node is alive and has joined; it is asked without the token, and tells nothing else.
    head | worker) answers /api/local_raylet_healthz "${AGENT_PORT:-52365}" ;;
    *) fail "health.sh ${1:-}: use postgres, artifacts, mlflow, head or worker" ;;
esac
