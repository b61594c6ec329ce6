"""Is training faster than with another suite's implementation of the same method?

    git clone https://github.com/OSU-STARLAB/LeaPformer
    python benchmarks/mixers.py --suite LeaPformer/pytorch-lra/src

Times a training step of `small` listops (learned positions, dropout, float32, full-length input)
for every mixer, and for two encodings that the suite has as methods, one after the other with the
suite's own model of that method: same sizes, optimiser and clipping, softmax under its gradient
checkpointing. Each measurement is made in a fresh process, the two in turn for some rounds; rates
are medians over the rounds, `within` is (largest − smallest) / median of ours. Without --suite,
only figures of two other machines stand beside ours. Run it on a machine that does nothing else.
The suite's `reformer` wants `pip install transformers`, its `performer` `einops`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASK, ENCODING = "listops", "learned"
LEAP_WIDTH = 16


# Imported by modules of the suite, without need here.
UNUSED = (
    "models.model_S4_minimal",
    "torchplot",
    "local_attention",
    "axial_positional_embedding",
    "performer_pytorch",
    "performer_pytorch.reversible",
)


class Unused(types.ModuleType):
    """A module in which every name is None."""

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Method:
    """What the suite calls a method.

    Attributes:
        name: of its configuration.
        published: its examples/s in float32 at batch 32, where measured: on a two-core Xeon with
            AMX at 2,048 tokens, and on a two-core AMD EPYC with AVX512-BF16 at 2,000.
    """

    name: str
    published: tuple[float | None, float | None] = (None, None)


METHODS = {
    ("softmax", ENCODING): Method("softmax", (1.3, 1.4)),
    ("kernelized", ENCODING): Method("kernelized", (None, 1.7)),
    ("linear", ENCODING): Method("elu-linear", (31.0, 42.0)),
    ("performer", ENCODING): Method("performer"),
    ("linformer", ENCODING): Method("linformer", (None, 30.0)),
    ("nystrom", ENCODING): Method("nystrom"),
    ("skyformer", ENCODING): Method("skyformer", (None, 14.0)),
    ("informer", ENCODING): Method("informer", (None, 8.0)),
    ("reformer", ENCODING): Method("reformer"),
    ("bigbird", ENCODING): Method("bigbird"),
    ("linear:features=relu", f"{ENCODING}+cosformer"): Method("cosformer", (30.0, 30.0)),
    ("linear:features=relu", f"{ENCODING}+leap"): Method("leapformer", (None, 33.0)),
}


def cells() -> list[tuple[str, str]]:
    """Every registered mixer with its defaults, then what else the suite has."""
    from lra_bench.mixers import mixers

    return list(dict.fromkeys([*((name, ENCODING) for name in mixers.names()), *METHODS]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, help="pytorch-lra/src of LeaPformer's repository")
    parser.add_argument("--only", nargs="+", help="mixers; all if not given")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(theirs_here(arguments.one, arguments)))
        return 0
    print_heading(arguments)
    for mixer, encoding in cells():
        if not arguments.only or mixer.partition(":")[0] in arguments.only:
            print(row(mixer, encoding, arguments), flush=True)
    return 0


def print_heading(arguments: argparse.Namespace) -> None:
    import torch

    from lra_bench.measure.environment import commit, device_name

    print(
        f"{device_name(torch.device('cpu'))}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, commit {commit()}; N {arguments.length}, batch {arguments.batch}\n"
    )
    print(
        "| mixer × encoding | examples/s | within | MB | suite | ratio | on a Xeon | on an EPYC |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)


def row(mixer: str, encoding: str, arguments: argparse.Namespace) -> str:
    """One line of the table; what did not end well is named."""
    method = METHODS.get((mixer, encoding))
    rates, megabytes, others, failure = [], 0.0, [], ""
    for _ in range(arguments.rounds):
        record = ours(mixer, encoding, arguments)
        if record.throughput is None:
            return f"| {mixer} × {encoding} | {record.status}: {record.reason} |"
        rates.append(record.throughput.train_examples_per_second)
        megabytes = record.memory.peak_bytes / 1e6 if record.memory else 0.0
        if method and arguments.suite and not failure:
            try:
                others.append(ask(method.name, arguments))
            except RuntimeError as error:
                failure = str(error)
    middle = statistics.median(rates)
    other = statistics.median(others) if others else None
    published = method.published if method else (None, None)
    columns = [
        f"{mixer} × {encoding}",
        f"{middle:.1f}",
        f"{(max(rates) - min(rates)) / middle:.0%}",
        f"{megabytes:.0f}",
        failure if other is None else f"{other:.1f}",
        "" if other is None else f"{middle / other:.1f}",
        *("" if rate is None else f"{rate:g}" for rate in published),
    ]
    return f"| {' | '.join(columns)} |"


def ours(mixer: str, encoding: str, arguments: argparse.Namespace) -> Any:
    """The record of one measurement."""
    from training import measured

    return measured(TASK, mixer, encoding, arguments.length, arguments.batch, precision="float32")


def ask(name: str, arguments: argparse.Namespace) -> float:
    """Examples/s of the suite, from a fresh process of this script."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name]
    for flag in ("suite", "length", "batch"):
        command += [f"--{flag}", str(getattr(arguments, flag))]
    environment = os.environ | {"THP_MEM_ALLOC_ENABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def theirs_here(name: str, arguments: argparse.Namespace) -> float:
    """Examples/s of training steps of the suite's model in this process."""
    import torch
    from torch import nn

    from lra_bench.measure.throughput import seconds_per_call
    from lra_bench.training.allocator import keep_freed_memory

    keep_freed_memory()
    model = their_model(name, arguments)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, eps=1e-6, weight_decay=0)
    tokens = torch.randint(1, 18, (arguments.batch, arguments.length))
    mask, labels = torch.ones(tokens.shape), torch.randint(0, 10, (arguments.batch,))

    def step() -> None:
        optimiser.zero_grad()
        model(tokens, mask, labels)["loss"].mean().backward()
        nn.utils.clip_grad_value_(model.parameters(), 1)
        optimiser.step()

    model.train()
    seconds, _ = seconds_per_call(step, torch.device("cpu"))
    return arguments.batch / seconds


def their_model(name: str, arguments: argparse.Namespace) -> Any:
    """The model that the suite's configuration makes, on the CPU.

    Its LeaPformer can't be chosen (a name is misspelt, its width missing), so that it is put in
    the place of cosFormer.
    """
    sys.path.insert(0, str(arguments.suite))
    for module in UNUSED:
        sys.modules[module] = Unused(module)
    from config import Config
    from models.model_LRA import ModelForSC

    configuration = Config["lra-listops"]
    chosen = "cosformer" if name == "leapformer" else name
    values: dict[str, Any] = dict(configuration["model"])
    values |= configuration["extra_attn_config"].get(chosen, {})
    values |= {"max_seq_len": arguments.length, "mixed_precision": False, "device": "cpu"}
    values |= {"attn_type": chosen, "model": "transformer", "learned_inter_size": LEAP_WIDTH}
    model = ModelForSC(values)
    if name == "leapformer":
        from models.attention_leapformer import LeaPformerAttention

        for number in range(values["num_layers"]):
            getattr(model.model, f"transformer_{number}").mha.attn = LeaPformerAttention(values)
    return model


if __name__ == "__main__":
    sys.exit(main())
