"""How fast a device multiplies a model's shapes in bfloat16, beside the fastest that it can do in float32.

    python -m trials.stack.pace DEVICE WIDTH FF

Prints how many times as fast, and ends: the process that asks need not load torch, or hold the device afterwards.
"""

from __future__ import annotations

import sys

import torch

from trials.stack.devices import pace


def main() -> None:
    """Measure and print."""
    device, width, ff = sys.argv[1:]
    torch.set_num_threads(1)  # as an engine has it
    print(pace("bfloat16", torch.device(device), (int(width), int(ff))))


if __name__ == "__main__":
    main()
