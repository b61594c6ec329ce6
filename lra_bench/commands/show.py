"""`show`: draw what an encoding does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.command_parser import CommandParser

if TYPE_CHECKING:
    from torch import nn

    from lra_bench.check.drawing import Cost
    from lra_bench.check.pair import Pairing
    from lra_bench.encodings.base import Geometry
    from lra_bench.registry import Spec

HELP = "draw an encoding: weight over distance, attention matrix, cost"

COST_LENGTHS = (512, 1024, 2048, 4096)
REPEATS = 5
MATRIX_LENGTH = 32


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.add_argument("encoding", metavar="ENCODING", help="such as lrpe:core=permutation")
    parser.add_argument("--mixer", help="(the cheapest compatible one unless given)")
    parser.add_argument("--length", type=int, default=256, help="tokens drawn (default: 256)")
    parser.add_argument("--output", type=Path, help="picture file (default: ENCODING.png)")
    parser.add_argument("--checkpoint", type=Path, help="draw the weights trained there")
    parser.add_argument("--task", help="with --checkpoint: the task it was trained on")
    parser.add_argument("--protocol", help="with --checkpoint: the protocol it was trained under")
    parser.add_argument("--layer", type=int, default=1, help="with --checkpoint: which layer")
    parser.add_several("--plugins", type=Path, default=[])


def run(arguments: argparse.Namespace) -> int:
    """Draw, and print where the picture is."""
    import torch

    from lra_bench.check.drawing import Sight, draw
    from lra_bench.check.weights import positional_weights
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.mixers.attention import Attention
    from lra_bench.registry import load_plugin

    for plugin in arguments.plugins:
        load_plugin(plugin)
    pairing = _pairing(arguments)
    geometry = _geometry(arguments)
    torch.manual_seed(0)
    encoding = encodings.create(pairing.encoding, geometry)
    attention = mixers.create(pairing.mixer, geometry, 0.0).eval()
    assert isinstance(attention, Attention)
    if arguments.checkpoint is not None:
        _load(arguments, encoding, "encoding")
        _load(arguments, attention, "mixer")
    mean, spread = positional_weights(encoding.eval(), attention, geometry.length)
    small, _ = positional_weights(encoding, attention, min(MATRIX_LENGTH, geometry.length))
    state = "trained" if arguments.checkpoint else "at initialisation"
    sight = Sight(
        f"{pairing.encoding} with {pairing.mixer} attention, {state}",
        mean.numpy(),
        spread.numpy(),
        small.numpy(),
        geometry.grid if getattr(encoding, "grid", False) else None,
        _costs(pairing),
    )
    output = arguments.output or Path(f"{_file_name(str(pairing.encoding))}.png")
    output.parent.mkdir(parents=True, exist_ok=True)
    draw(sight, output)
    print(output)
    return 0


def _pairing(arguments: argparse.Namespace) -> Pairing:
    from lra_bench.check.compatibility import why_not
    from lra_bench.check.pair import Pairing
    from lra_bench.check.suite import Part, pairings
    from lra_bench.encodings import encodings
    from lra_bench.errors import InputError
    from lra_bench.mixers import mixers
    from lra_bench.mixers.attention import Attention

    def attends(mixer: Spec) -> bool:
        return issubclass(mixers.get(mixer.name), Attention)

    encoding = encodings.parse(arguments.encoding)
    if arguments.mixer is None:
        return next(one for one in pairings(Part("encoding", encoding)) if attends(one.mixer))
    attention = mixers.parse(arguments.mixer)
    if not attends(attention):
        raise InputError(f"mixer '{attention}' is no attention: it has no weights to draw")
    if reason := why_not(encoding, attention):
        raise InputError(f"encoding '{encoding}' with mixer '{attention}': it {reason}")
    return Pairing(encoding, attention)


def _geometry(arguments: argparse.Namespace) -> Geometry:
    """That of the checkpoint's model, or four heads of 32 over a square grid."""
    from dataclasses import replace

    from lra_bench.encodings.base import Geometry
    from lra_bench.errors import InputError

    if arguments.length < 2:
        raise InputError(f"--length {arguments.length}: at least 2 tokens are needed")
    if arguments.checkpoint is None:
        side = int(arguments.length**0.5)
        grid = (side, side) if side * side == arguments.length else None
        return Geometry(arguments.length, heads=4, head_dim=32, dim=128, grid=grid)
    if not arguments.task or not arguments.protocol:
        raise InputError("--checkpoint needs --task and --protocol: they give the model's sizes")
    from lra_bench.config import settings_for
    from lra_bench.model.classifier import geometry_of
    from lra_bench.tasks import task_under, tasks

    task = task_under(arguments.protocol, arguments.task)
    trained = geometry_of(tasks.create(task), settings_for(arguments.protocol, task, {}))
    return replace(trained, prefix=0, layer=arguments.layer - 1)


def _load(arguments: argparse.Namespace, part: nn.Module, name: str) -> None:
    """Take over the part's weights from the checkpoint's layer."""
    from lra_bench.errors import InputError

    state = _state(arguments.checkpoint)
    prefix = f"encoder.blocks.{arguments.layer - 1}.{name}."
    own = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    try:
        part.load_state_dict(own)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"checkpoint {arguments.checkpoint}, layer {arguments.layer}: {reason}"
        ) from None


def _state(path: Path) -> dict[str, Any]:
    """The best weights of a checkpoint, or the newest before the first evaluation."""
    from lra_bench.errors import InputError
    from lra_bench.training.checkpoint import Checkpoint

    directory = path if path.is_dir() else path.parent
    saved, _ = Checkpoint(directory).load()
    if saved is None:
        raise InputError(
            f"no checkpoint in '{directory}'; give the directory that holds current.pt"
        )
    state: dict[str, Any] = saved["best_weights"] or saved["model"]
    return state


def _costs(pairing: Pairing) -> list[Cost]:
    """Of the pair and, for comparison, of no encoding with the same attention."""
    import torch

    from lra_bench.check.drawing import Cost
    from lra_bench.check.order import peak_memory, seconds_of, step_of
    from lra_bench.check.pair import Pairing
    from lra_bench.encodings import encodings

    costs, cpu = [], torch.device("cpu")
    for encoding in dict.fromkeys((pairing.encoding, encodings.parse("none"))):
        seconds, peaks = [], []
        for n in COST_LENGTHS:
            step = step_of(Pairing(encoding, pairing.mixer), n)
            seconds.append(seconds_of(step, REPEATS, cpu))
            peaks.append(peak_memory(step, cpu))
        costs.append(Cost(str(encoding), COST_LENGTHS, seconds, peaks))
    return costs


def _file_name(spec: str) -> str:
    return spec.replace(":", "-").replace("=", "-").replace(",", "-")
