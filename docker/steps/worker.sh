#!/usr/bin/env bash
# Ray on another host: joins the head at $HEAD and offers its cores and accelerators.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/ray.sh"

exec ray start --block --address="${HEAD:-head:6379}" "${common[@]}"
