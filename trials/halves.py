"""What a host says of bfloat16, in a process that ends with its answer.

    python -m trials.halves DEVICE WIDTH FF LEAST BACKBONE REVISION [LANE]

Prints how many times as fast as in float32 the device multiplies matrices of a model's shape and, where that is LEAST
times or more, on a second line why the backbone is not right in bfloat16 there, as JSON: an empty text where it is,
null where that cannot be found out: then it is loaded to be trained, and whatever is wrong is named there. Nothing is
downloaded, and the process that asks need not load torch, or hold the device afterwards.
"""

from __future__ import annotations

import json
import os
import sys


def refusal(device: str, backbone: str, revision: str = "", lane: str = "") -> str | None:
    """Why a backbone is refused in bfloat16, though right in float32; empty where it is not, None if not known."""
    from trials.backbones.loading import load_backbone
    from trials.errors import PrecisionError

    try:
        load_backbone(backbone, device, "bfloat16", lane="stock" if lane == "stock" else None, revision=revision)
    except PrecisionError as error:
        return error.problems[0]
    except Exception:  # whatever it is, it says nothing of bfloat16
        return None
    return ""


def main() -> None:
    """Find out and print."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers reads it
    import torch

    from trials.stack.devices import pace

    device, width, ff, least, *backbone = sys.argv[1:]
    torch.set_num_threads(1)  # as an engine has it
    times = pace("bfloat16", torch.device(device), (int(width), int(ff)))
    print(times, flush=True)
    if times >= float(least):
        print(json.dumps(refusal(device, *backbone)))


if __name__ == "__main__":
    main()
