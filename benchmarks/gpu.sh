#!/usr/bin/env bash
# What can be checked and measured where there is a card, in eight minutes at most, as one JSON file:
# the numbers of the processor, kernels a pass, fused kernels (right, faster, and how near to the card's memory), a step
# against the card's ceilings, throughput against the number of stacked trials, and the makespan of a grid against the
# peer.
#
#     benchmarks/gpu.sh [--out FILE]                  # on a card, T5-base's shape
#     benchmarks/gpu.sh --device cpu --quick          # all of it but the peer, small, where there is none
#
# A part that fails or takes too long is written down as such, and the others go on; ends with 1 where one did.
set -uo pipefail
cd "$(dirname "$0")/.."
device=cuda quick="" out=""
while [ $# -gt 0 ]; do
    case "$1" in
        --device) device=${2:?}; shift 2 ;;
        --out) out=$(realpath "${2:?}"); shift 2 ;;
        --quick) quick=yes; shift ;;
        *) sed -n '2,10p' "$0"; exit 2 ;;
    esac
done
python=${PYTHON:-.venv/bin/python}
command -v "$python" > /dev/null || python=python
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

part() {  # part NAME SECONDS ARGUMENTS...: run a benchmark that writes NAME.json, note how it ended
    local name=$1 limit=$2
    shift 2
    local left=$((${LIMIT:-470} - SECONDS))
    [ "$left" -lt "$limit" ] && limit=$left
    echo "== $name (at most $limit s)"
    if [ "$limit" -le 0 ]; then echo 124 > "$folder/$name.ended"; return; fi
    local begun=$SECONDS
    timeout --kill-after=10 "$limit" "$python" -m "$@" --out "$folder/$name.json" > "$folder/$name.log" 2>&1
    echo "$?" > "$folder/$name.ended"
    echo "$((SECONDS - begun))" > "$folder/$name.seconds"
    tail -n 12 "$folder/$name.log"
}

if [ -n "$quick" ]; then
    cat > "$folder/two.yaml" << YAML
settings: {steps: 4, eval_every: 2, batch_size: 2, warmup_steps: 0}
grids: {adept: {prompt_lr: [0.1, 0.2], mlp_lr: 0.1, prompt_length: 5, bottleneck: 3}}
YAML
    part numbers 180 benchmarks.same_numbers --device "$device"
    part kernels 60 benchmarks.kernels
    part fused 90 benchmarks.fused --device "$device"
    part roofline 60 benchmarks.roofline --device "$device" --batch-size 4 --stack 2 --steps 1
    part throughput 90 benchmarks.throughput --device "$device" --batch-size 4 --stacks 1 2 --seconds 1
    part makespan 200 benchmarks.makespan --task debsec --space "$folder/two.yaml" --arms stopping \
        --ours "--precision auto"
else
    shape=(--backbone t5-base-shape --device "$device" --precision bfloat16 --batch-size 32)
    part numbers 60 benchmarks.same_numbers --device "$device"
    part kernels 30 benchmarks.kernels
    part fused 80 benchmarks.fused --device "$device" --backbone t5-base-shape --precision bfloat16
    part roofline 70 benchmarks.roofline "${shape[@]}" --stack 24
    part throughput 90 benchmarks.throughput "${shape[@]}" --stacks 1 8 24 --seconds 5
    part makespan 200 benchmarks.makespan --task debsec --backbone t5-base-shape --batch-size 32 --steps 24 \
        --eval-every 6 --arms stopping peer --peer-trials 4 --peer-steps 12 --ours "--precision auto"
fi
"$python" -m benchmarks.card "$folder" --device "$device" ${out:+--out "$out"}
