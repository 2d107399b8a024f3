"""How fast this machine is tonight: updates a second of a frozen reference that trains as engines do.

Speeds of nights are compared after division by it, so that a slow machine is no regression. The reference is prompt
tuning on a small frozen transformer in plain PyTorch, at the shapes of t5-nano (an encoder of 4 layers, width 256). It
is independent of `trials` on purpose: a change that slows our trainer must not slow the reference with it. Whoever
changes this file changes the unit of every history: then raise `REFERENCE`.

A mix of single operations (products, softmax, copies) was tried before it and follows the pace of training less well
where the machine is shared: `python -m benchmarks.calibration` measures both.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

REFERENCE = 1  # in a night's provenance: speeds of nights with another number are not compared
SECONDS = 4.0  # of measuring, once the process is warm
BLOCK = 0.25  # seconds of updates that one sample counts
_LIMIT = 120.0  # seconds for start, warm-up and measuring; a machine that needs more is not calibrated

LAYERS, WIDTH, HEADS, INNER, WORDS = 4, 256, 4, 512, 8128  # t5-nano's encoder
TRIALS, ROWS, PROMPT, LENGTH, BOTTLENECK = 2, 4, 20, 24, 29  # a stack of two trials, with fewer rows: short updates


class Reference:
    """The frozen model, and the stack of prompts that are trained on it."""

    def __init__(self, device: str = "cpu") -> None:
        import torch

        generator = torch.Generator().manual_seed(0)

        def made(*shape: int) -> torch.Tensor:
            return (torch.randn(*shape, generator=generator) * shape[-1] ** -0.5).to(device)

        self.device = torch.device(device)
        self.words = made(WORDS, WIDTH)
        self.layers = [
            (made(WIDTH, 3 * WIDTH), made(WIDTH, WIDTH), made(WIDTH, INNER), made(INNER, WIDTH)) for _ in range(LAYERS)
        ]
        self.tokens = torch.randint(WORDS, (TRIALS, ROWS, LENGTH), generator=generator).to(device)
        self.labels = torch.randint(WORDS, (TRIALS * ROWS,), generator=generator).to(device)
        self.begun = [made(TRIALS, PROMPT, WIDTH), made(TRIALS, WIDTH, BOTTLENECK), made(TRIALS, BOTTLENECK, WIDTH)]

    def block(self, updates: int) -> float:
        """Train that many updates, from the same start each time; the seconds that they took."""
        import torch

        trained = [one.clone().requires_grad_() for one in self.begun]
        optimizer = torch.optim.AdamW(trained, lr=1e-3)
        started = time.perf_counter()
        for _ in range(updates):
            self._loss(*trained).backward()
            optimizer.step()
            optimizer.zero_grad()
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter() - started

    def _loss(self, prompt: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import cross_entropy, rms_norm

        embedded = self.words[self.tokens].flatten(1, 2)  # (TRIALS, ROWS * LENGTH, WIDTH)
        shifted = embedded + (embedded @ down).relu() @ up
        prompts = prompt.unsqueeze(1).expand(-1, ROWS, -1, -1)
        hidden = _joined(prompts, shifted.unflatten(1, (ROWS, LENGTH)))
        for mix, out, inner, outer in self.layers:
            hidden = hidden + _attention(rms_norm(hidden, (WIDTH,)) @ mix) @ out
            hidden = hidden + (rms_norm(hidden, (WIDTH,)) @ inner).relu() @ outer
        return cross_entropy(rms_norm(hidden[:, 0], (WIDTH,)) @ self.words.T, self.labels)


def _joined(prompts: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([prompts, rows], 2).flatten(0, 1)  # (TRIALS * ROWS, PROMPT + LENGTH, WIDTH)


def _attention(mixed: torch.Tensor) -> torch.Tensor:
    """Of queries, keys and values side by side, with the softmax written out, as engines have it."""
    query, key, value = mixed.unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2)).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2)


class Kernel:
    """The reference, warm, in this process.

    Args:
        device: as torch names it. The process should have as many threads as an engine has (one).
    """

    def __init__(self, device: str = "cpu") -> None:
        self._reference = Reference(device)
        self._reference.block(2)
        self._updates = max(1, round(BLOCK / max(self._reference.block(4) / 4, 1e-6)))

    def samples(self, seconds: float) -> list[float]:
        """Updates a second, one number a block, for about so many seconds."""
        until = time.perf_counter() + seconds
        found = [self._updates / self._reference.block(self._updates)]
        while time.perf_counter() < until:
            found.append(self._updates / self._reference.block(self._updates))
        return found


def calibrate(engines: int = 1, seconds: float = SECONDS, device: str = "cpu") -> float | None:
    """Updates a second of the reference, in as many processes at once as there are engines.

    Args:
        engines: that train at the same time on this machine. device: that each has; each process takes the next one
            where there are several accelerators.

    Returns:
        The median over processes of each one's median; None, with a warning, where it cannot be measured here.
    """
    command = [sys.executable, "-m", "orchestrator.nights.calibration", "--seconds", f"{seconds:g}", "--device"]
    devices = [device if device == "cpu" or ":" in device else f"{device}:{place}" for place in range(engines)]
    try:
        with ExitStack() as stack:
            running = [
                stack.enter_context(
                    subprocess.Popen(
                        [*command, one],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
                for one in devices
            ]
            for process in running:
                stack.callback(process.kill)
                limit = threading.Timer(_LIMIT, process.kill)  # one that hangs ends here, and is an answer that lacks
                limit.daemon = True
                limit.start()
                stack.callback(limit.cancel)
            for process in running:  # each is warm before the first begins
                if process.stdout is None or process.stdout.readline().strip() != "warm":
                    raise OSError(process.communicate(timeout=_LIMIT)[1].strip().rpartition("\n")[2])
            for process in running:
                if process.stdin is not None:
                    process.stdin.write("begin\n")
                    process.stdin.flush()
            answers = [process.communicate(timeout=_LIMIT)[0] for process in running]
        return median(median(json.loads(answer)) for answer in answers)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("the machine's speed could not be calibrated (%s): speeds of this night are not compared", error)
        return None


def main() -> None:
    """One process of a calibration: ``warm`` when it is, then, after a line on stdin, its samples as JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of measuring [%(default)s]")
    parser.add_argument("--device", default="cpu", help="as torch names it [%(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kernel = Kernel(args.device)
    print("warm", flush=True)
    sys.stdin.readline()
    print(json.dumps(kernel.samples(args.seconds)))


if __name__ == "__main__":
    main()
