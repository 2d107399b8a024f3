#!/usr/bin/env bash
# A clock: waits for the next time of $SCHEDULE (cron's five fields, in UTC unless TZ says otherwise), gives the head at
# $HEAD a night of $SWEEP as a job, shows what it prints, and begins again. One that is lost with the head is over; the
# next one goes on from what it has left.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/ray.sh"
unset RAY_ADDRESS

while true; do
    seconds=$(python3 -m orchestrator.nights.clock.schedule "$SCHEDULE") || fail "SCHEDULE=$SCHEDULE: use five fields"
    echo "the next night of $SWEEP begins in $seconds s"
    sleep "$seconds"
    ray job submit --address "$HEAD" -- adept-search nightly "$SWEEP" || echo "the night of $SWEEP ended with code $?"
done
