#!/usr/bin/env bash
# The tracking server: MLflow on PostgreSQL, with authentication, artifacts through the server. Listens on $HOST:$PORT.
#   mlflow.sh upgrade     lays out anew, in place, a database that an older version of MLflow has made
# Behind a proxy: ALLOWED_HOSTS, the hosts that it is asked for as (mlflow.example.org), besides this machine and mlflow;
# ALLOWED_ORIGINS, where its page is shown (https://mlflow.example.org). Several with commas. Others get a 403.
source "$(dirname "$0")/common.sh"

database="postgresql+psycopg://mlflow@${DATABASE_HOST:-postgres}:${DATABASE_PORT:-5432}/mlflow"
# The password comes from a file that libpq reads, so that the address can be shown, logged and passed on.
printf '*:*:*:mlflow:%s\n' "$(secret postgres_password)" | private "$SCRATCH/pgpass"
export PGPASSFILE=$SCRATCH/pgpass

# Whoever makes an experiment may write it; everybody else who is known to the server may read it. A password is compared
# by a slow hash, at every request: one that was right stays right for a minute, for three times the requests (MLflow's
# figure).
private "$SCRATCH/auth.ini" <<END
[mlflow]
default_permission = READ
database_uri = $database
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
END
export MLFLOW_AUTH_CONFIG_PATH=$SCRATCH/auth.ini
MLFLOW_AUTH_ADMIN_PASSWORD=$(secret mlflow_admin_password)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret mlflow_session_key)
AWS_ACCESS_KEY_ID=$(secret artifacts_key_id)
AWS_SECRET_ACCESS_KEY=$(secret artifacts_key)
export MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export MLFLOW_S3_ENDPOINT_URL=${ARTIFACTS_URL:-http://artifacts:8333} AWS_DEFAULT_REGION=us-east-1
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
export MLFLOW_BACKEND_STORE_URI=$database

# By hand, after a backup (docs/tracking-server.md): the server itself refuses an older database, and says so.
if [[ ${1:-} == upgrade ]]; then
    mlflow db upgrade "$database"
    python3 -m mlflow.server.auth db upgrade --url "$database"
    exit
fi
exec mlflow server --app-name basic-auth --host "$HOST" --port "${PORT:-5000}" --workers "${WORKERS:-2}" \
    --serve-artifacts --artifacts-destination "s3://mlflow" \
    --allowed-hosts "localhost,localhost:*,127.0.0.1,127.0.0.1:*,mlflow:*${ALLOWED_HOSTS:+,$ALLOWED_HOSTS}" \
    --cors-allowed-origins "${ALLOWED_ORIGINS:-}"
