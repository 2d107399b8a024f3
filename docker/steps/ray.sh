# shellcheck shell=bash
# What Ray's head and its workers share; to be sourced after common.sh.
# Whoever reaches a Ray without a token can run anything as its user: the token is not optional here.
secret ray_token >/dev/null
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$SECRETS/ray_token
common=(--disable-usage-stats --dashboard-agent-listen-port="${AGENT_PORT:-52365}")
[[ -z ${NODE_ADDRESS:-} ]] || common+=(--node-ip-address="$NODE_ADDRESS")
[[ -z ${CPUS:-} ]] || common+=(--num-cpus="$CPUS")
[[ -z ${OBJECT_STORE_BYTES:-} ]] || common+=(--object-store-memory="$OBJECT_STORE_BYTES")
[[ -z ${RAY_FOLDER:-} ]] || common+=(--temp-dir="$RAY_FOLDER")
