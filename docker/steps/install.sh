#!/usr/bin/env bash
# An environment with the tested versions.
#   install.sh dependencies VENV PART...   what pyproject.toml names (requirements.py); needs no source
#   install.sh project VENV                the project itself, from this checkout
# TORCH_INDEX: an index of CPU wheels of torch, for an image without CUDA's libraries.
set -euo pipefail

top=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
what=$1 venv=$2
shift 2
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
case $what in
    dependencies)
        [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
        "$venv/bin/python" "$(dirname "$0")/requirements.py" "$top/pyproject.toml" "$@" >"$venv/requirements.txt"
        "${pip[@]}" install --quiet --constraint "$top/constraints.txt" --requirement "$venv/requirements.txt" \
            ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}
        ;;
    project) "${pip[@]}" install --quiet --no-deps "$top" ;;
    *)
        echo "error: install.sh $what: use dependencies or project" >&2
        exit 2
        ;;
esac
