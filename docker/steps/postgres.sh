#!/usr/bin/env bash
# PostgreSQL for MLflow, as its official image sets it up; for a machine without containers. Listens on $HOST:$PORT.
# PostgreSQL refuses to run as root: bare.sh calls this as another user then.
source "$(dirname "$0")/common.sh"

if [[ ! -s $DATA/PG_VERSION ]]; then
    secret postgres_password | private "$SCRATCH/postgres_password"
    trap 'rm -f "$SCRATCH/postgres_password"' EXIT
    initdb --pgdata "$DATA" --username mlflow --pwfile "$SCRATCH/postgres_password" --auth scram-sha-256 \
        --encoding UTF8 --no-locale >"$SCRATCH/initdb.log" || fail "initdb could not make a database in $DATA"
    rm -f "$SCRATCH/postgres_password"
    printf 'CREATE DATABASE mlflow;\n' | postgres --single -D "$DATA" postgres >>"$SCRATCH/initdb.log"
fi
exec postgres -D "$DATA" -c listen_addresses="$HOST" -c port="${PORT:-5432}" -c unix_socket_directories=
