#!/usr/bin/env bash
# Make the secrets that are missing, each a file of random letters: docker/make-secrets.sh [FOLDER]
# None is ever printed. To change one: remove its file, run this again, and see docs/tracking-server.md.
set -euo pipefail
umask 077

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
for name in postgres_password mlflow_admin_password mlflow_password mlflow_session_key \
    artifacts_key_id artifacts_key artifacts_inner_key ray_token; do
    [[ -s $folder/$name ]] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/$name"
    # Docker mounts a secret with the owner and the rights of its file, and the containers run as other users.
    # The folder keeps others of this machine out.
    chmod 444 "$folder/$name"
done
chmod 700 "$folder"
