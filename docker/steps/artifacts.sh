#!/usr/bin/env bash
# The artifact store: SeaweedFS, which speaks S3. Listens on $HOST:$PORT; keeps everything under $DATA.
source "$(dirname "$0")/common.sh"

# The keys of its administrator, and the one bucket.
AWS_ACCESS_KEY_ID=$(secret artifacts_key_id)
AWS_SECRET_ACCESS_KEY=$(secret artifacts_key)
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# Behind the S3 port are three more servers; with these keys they answer nobody but each other.
WEED_JWT_SIGNING_KEY=$(secret artifacts_inner_key)
WEED_JWT_SIGNING_READ_KEY=$WEED_JWT_SIGNING_KEY
WEED_JWT_FILER_SIGNING_KEY=$WEED_JWT_SIGNING_KEY
WEED_JWT_FILER_SIGNING_READ_KEY=$WEED_JWT_SIGNING_KEY
export WEED_JWT_SIGNING_KEY WEED_JWT_SIGNING_READ_KEY WEED_JWT_FILER_SIGNING_KEY WEED_JWT_FILER_SIGNING_READ_KEY

port=${PORT:-8333}
cd "$SCRATCH" # where it would look for configuration files
exec weed mini -dir="$DATA" -ip=127.0.0.1 -ip.bind="$HOST" -bucket=mlflow \
    -s3.port="$port" -master.port=$((port + 1)) -volume.port=$((port + 2)) -filer.port=$((port + 3)) \
    -admin.port=$((port + 4)) -admin.ui=false -webdav=false -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false
