"""Is a backbone right in bfloat16 on a device? Found out by loading it, in a process that ends with its answer.

    python -m trials.backbones.halves DEVICE BACKBONE REVISION [LANE]

Prints why not, as JSON: an empty text where it is right, or where that cannot be found out: then it is loaded to be
trained, and whatever is wrong is named there. Nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import sys


def refusal(device: str, backbone: str, revision: str = "", lane: str = "") -> str:
    """Why a backbone is refused in bfloat16, though it is right in float32; empty where it is not."""
    from trials.backbones.loading import load_backbone
    from trials.errors import PrecisionError

    try:
        load_backbone(backbone, device, "bfloat16", lane="stock" if lane == "stock" else None, revision=revision)
    except PrecisionError as error:
        return error.problems[0]
    except Exception:  # whatever it is, it says nothing of bfloat16
        return ""
    return ""


def main() -> None:
    """Find out and print."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers reads it
    import torch

    torch.set_num_threads(1)  # as an engine has it
    print(json.dumps(refusal(*sys.argv[1:])))


if __name__ == "__main__":
    main()
