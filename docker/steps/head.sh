#!/usr/bin/env bash
# Ray's head: searches are started here. Listens on $PORT; the dashboard, which takes jobs, on $DASHBOARD_HOST.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/ray.sh"

# Whoever starts a search here writes to the tracking server as this user, without a password in the environment.
mkdir -p "$HOME/.mlflow"
private "$HOME/.mlflow/credentials" <<END
[mlflow]
mlflow_tracking_username = search
mlflow_tracking_password = $(secret mlflow_password)
END

unset RAY_ADDRESS # in a container it tells searches of the cluster that is made only now
exec ray start --head --block --port="${PORT:-6379}" --dashboard-host="${DASHBOARD_HOST:-$HOST}" \
    --dashboard-port="${DASHBOARD_PORT:-8265}" "${common[@]}"
