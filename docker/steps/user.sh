#!/usr/bin/env bash
# Make the tracking server's user for searches; once the server at $MLFLOW_TRACKING_URI answers. May be done again.
source "$(dirname "$0")/common.sh"
export SECRETS MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-http://mlflow:5000}
PYTHONWARNINGS=ignore exec python3 "$(dirname "$0")/make_user.py"
