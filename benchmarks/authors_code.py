"""Do mixers and encodings compute what their authors' code does? Outputs and gradients of a layer.

    python benchmarks/authors_code.py longformer
    python benchmarks/authors_code.py transformer-ls --source transformer-ls/lra
    python benchmarks/authors_code.py s4 s4d --source s4
    python benchmarks/authors_code.py mega --source mega
    python benchmarks/authors_code.py xpos --source torchscale
    python benchmarks/authors_code.py hgrn --source hgru-pytorch
    python benchmarks/authors_code.py deltanet --source flash-linear-attention/fla/ops/delta_rule

`longformer` and `bigbird` want Hugging Face's transformers (`pip install transformers`), the others
the directory of the authors' clone that their modules are imported from, and what these import
(`s4` and `s4d`: `pip install einops opt-einsum scipy pytorch-lightning`; `xpos`, `hgrn` and
`deltanet`: einops). It is
built with random parameters, which are copied into ours, and both see the same full-length tokens,
without dropout, in float64. Prints the largest relative error, |ours − theirs| / largest |theirs|,
of outputs and, tensor by tensor, of gradients of tokens and parameters; exit code 1 where one is
above 1e-5.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.mixers import mixers
from lra_bench.mixers.base import Mixer

BATCH, HEADS, WIDTH, LENGTH = 2, 2, 32, 2048
DIM = HEADS * WIDTH
GEOMETRY = Geometry(LENGTH, HEADS, WIDTH, DIM, projection_bias=True)
ALLOWED = 1e-5


@dataclass(frozen=True)
class Shared:
    """A parameter that both layers have.

    Attributes:
        ours, theirs: the two.
        arranged: theirs, or its gradient, laid out as ours.
        part: what of ours they have.
    """

    ours: Tensor
    theirs: Tensor
    arranged: Callable[[Tensor], Tensor] = lambda theirs: theirs
    part: Callable[[Tensor], Tensor] = lambda ours: ours


@dataclass(frozen=True)
class Compared:
    """The same layer twice.

    Attributes:
        ours: a mixer.
        run: the authors' layer, tokens to outputs.
        maps: linear maps and norms of ours by name, and theirs.
        shared: what else they share.
        encoding: of ours.
    """

    ours: Mixer
    run: Callable[[Tensor], Tensor]
    maps: dict[str, nn.Module] = field(default_factory=dict)
    shared: tuple[Shared, ...] = ()
    encoding: Encoding = field(default_factory=lambda: Encoding(GEOMETRY))

    def mixed(self, x: Tensor) -> Tensor:
        """Ours: tokens to outputs."""
        codes = self.encoding.prepare(Layout(LENGTH, None, x.device, x.dtype))
        return self.ours.mix(self.encoding.embed(x, codes), None, self.encoding, codes)


def longformer(global_tokens: int) -> Compared:
    """Hugging Face's, with a window of 64 to each side."""
    from transformers.models.longformer import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    ours = _mixer(f"local:window=64,global_tokens={global_tokens}")
    # The map back is left to the layer around theirs.
    identity = {"weight": torch.eye(DIM), "bias": torch.zeros(DIM)}
    ours.get_submodule("out").load_state_dict(identity)
    config = LongformerConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        attention_window=[128],
        attention_probs_dropout_prob=0.0,
    )
    theirs = LongformerSelfAttention(config, layer_id=0).double()
    everywhere = (torch.arange(LENGTH) < global_tokens).expand(BATCH, -1)

    def run(x: Tensor) -> Tensor:
        out: Tensor = theirs(
            x,
            attention_mask=10000.0 * everywhere,
            is_index_masked=torch.zeros_like(everywhere),
            is_index_global_attn=everywhere,
            is_global_attn=global_tokens > 0,
        )[0]
        return out

    maps = {name: getattr(theirs, name) for name in ("query", "key", "value")}
    if global_tokens:
        maps |= {f"global_{name}": getattr(theirs, f"{name}_global") for name in list(maps)}
    return Compared(ours, run, maps)


def bigbird() -> Compared:
    """Hugging Face's, in training: in evaluation, its random blocks are the first one thrice.

    Its lengths 1,024, 3,072 and 4,096 take other random blocks, which may be those of the window
    or the ends once more, and then count twice.
    """
    from transformers.models.big_bird import BigBirdConfig, BigBirdModel
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention

    ours = _mixer("bigbird")
    config = BigBirdConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        block_size=ours.block,
        num_random_blocks=ours.random,
        max_position_embeddings=LENGTH,
    )

    class WithOurs(BigBirdBlockSparseAttention):
        """Whose random blocks become ours; there are some for all but the first and the last."""

        def _bigbird_block_rand_mask_with_head(self, **plan: Any) -> Any:
            drawn = super()._bigbird_block_rand_mask_with_head(**plan)
            blocks = torch.stack([torch.as_tensor(head).long() for head in drawn])
            ours.priorities.zero_()[:, 1:-1].scatter_(-1, blocks, 1.0)
            return drawn

    theirs = WithOurs(config, seed=0).double()
    masks = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(BATCH, LENGTH), ours.block)
    maps = {name: getattr(theirs, name) for name in ("query", "key", "value")}
    blocked, band, start, end = masks
    return Compared(ours, lambda x: theirs(x, band, start, end, blocked, blocked)[0], maps)


def transformer_ls(window: int, rank: int) -> Compared:
    """NVIDIA's, as in their scripts: without a convolution, and CLS a token like others."""
    from attention_transformer_ls import AttentionLS

    config = argparse.Namespace(
        pooling_mode="mean",
        cls_token=False,
        num_head=HEADS,
        head_dim=WIDTH,
        num_landmarks=rank,
        max_seq_len=LENGTH,
        transformer_dim=DIM,
        attention_dropout=0.0,
        window_size=window,
        fp32_attn=False,
    )
    theirs = AttentionLS(config).double()
    maps = {
        "query": theirs.W_q,
        "key": theirs.W_k,
        "value": theirs.W_v,
        "out": theirs.W_o,
        "compression": theirs.dconv_fc,
        "near_norm": theirs.dual_ln_l,
        "far_norm": theirs.dual_ln_s,
    }
    everything = torch.ones(BATCH, LENGTH)
    ours = _mixer(f"transformer-ls:window={window},rank={rank}")
    return Compared(ours, lambda x: theirs(x, everything), maps)


def s4d() -> Compared:
    """The short code, of one direction: C′ is zero."""
    from models.s4.s4d import S4D

    ours, theirs = _mixer("s4d"), S4D(DIM, transposed=False).double()
    kernel, conv, readout = theirs.kernel, theirs.output_linear[0], ours.get_parameter("readout")
    with torch.no_grad():
        readout[:, :, 1] = 0
    shared = (
        Shared(ours.get_parameter("log_dt"), kernel.log_dt),
        Shared(ours.get_parameter("log_decay"), kernel.log_A_real),
        Shared(ours.get_parameter("frequency"), kernel.A_imag),
        Shared(readout, kernel.C, lambda c: c.movedim(-1, 0), lambda c: c[:, :, 0]),
        Shared(ours.get_parameter("skip"), theirs.D),
        Shared(ours.get_parameter("out.weight"), conv.weight, lambda w: w.squeeze(-1)),
        Shared(ours.get_parameter("out.bias"), conv.bias),
    )
    return Compared(ours, lambda x: theirs(x)[0], shared=shared)


def s4(discretisation: str) -> Compared:
    """The whole code, in both directions; its B stays at 1."""
    from models.s4.s4 import S4Block

    ours = _mixer(f"s4d:init=inv,discretisation={discretisation}")
    options = {"bidirectional": True, "mode": "diag", "init": "diag-inv", "disc": discretisation}
    theirs = S4Block(DIM, transposed=False, **options).double()
    kernel = theirs.layer.kernel
    shared = (
        Shared(ours.get_parameter("log_dt"), kernel.inv_dt, lambda dt: dt.squeeze(-1)),
        Shared(ours.get_parameter("log_decay"), kernel.A_real),
        Shared(ours.get_parameter("frequency"), kernel.A_imag, torch.neg),
        Shared(ours.get_parameter("readout"), kernel.C, lambda c: c.permute(3, 1, 0, 2)),
        Shared(ours.get_parameter("skip"), theirs.layer.D, lambda d: d[0]),
    )
    return Compared(ours, lambda x: theirs(x)[0], {"out": theirs.output_linear[0]}, shared)


def mega(function: str, chunk: int) -> Compared:
    """Theirs as it is where the norm comes last, without the norm: what it adds to its tokens."""
    _take_fairseq_apart()
    from fairseq.modules.moving_average_gated_attention import MovingAverageGatedAttention

    ours = _mixer(f"mega:function={function},chunk={chunk}")
    theirs = MovingAverageGatedAttention(
        DIM,
        zdim=DIM,
        hdim=2 * DIM,
        ndim=16,
        attention_activation=function,
        bidirectional=True,
        chunk_size=chunk or -1,
        prenorm=False,
        max_positions=LENGTH,
    ).double()
    theirs.norm = nn.Identity()
    # Their names for step and damping are each the other's in the paper.
    averages = {"step": "delta", "damping": "alpha", "expansion": "beta", "readout": "gamma"}
    shared = (
        *(
            Shared(
                ours.get_parameter(f"average.{name}"),
                theirs.move.get_parameter(other),
                lambda numbers: numbers.view(2, DIM, -1).transpose(0, 1),
            )
            for name, other in averages.items()
        ),
        Shared(ours.get_parameter("average.skip"), theirs.move.omega),
        Shared(ours.get_parameter("scale"), theirs.gamma),
        Shared(ours.get_parameter("shift"), theirs.beta),
        Shared(ours.get_parameter("distances"), theirs.rel_pos_bias.rel_pos_bias, _backwards),
    )

    def run(x: Tensor) -> Tensor:
        out: Tensor = theirs(x.transpose(0, 1))[0].transpose(0, 1)
        return out - x

    maps = {"value": theirs.v_proj, "gates": theirs.mx_proj, "out": theirs.h_proj}
    return Compared(ours, run, maps, shared)


def xpos() -> Compared:
    """Microsoft's, in both directions, with softmax."""
    from torchscale.component.multihead_attention import MultiheadAttention

    config = argparse.Namespace(
        multiway=False, flash_attention=False, xpos_rel_pos=True, xpos_scale_base=512
    )
    theirs = MultiheadAttention(config, DIM, HEADS, self_attention=True).double()
    maps = {
        "query": theirs.q_proj,
        "key": theirs.k_proj,
        "value": theirs.v_proj,
        "out": theirs.out_proj,
    }
    encoding = _encoding("xpos")
    return Compared(_mixer("softmax"), lambda x: theirs(x, x, x)[0], maps, encoding=encoding)


def hgrn(lower: float) -> Compared:
    """The bidirectional layer of one dimension, its CUDA recurrence written out."""
    bare = ModuleType("hgru")
    bare.__path__ = [next(f"{place}/hgru" for place in sys.path if Path(place, "hgru").is_dir())]
    sys.modules |= {"hgru": bare, "hgru.hgru_cuda": MagicMock()}
    from hgru.bihgru1d import BiHgru1d

    ours, theirs = _mixer("hgrn"), BiHgru1d(DIM).double()
    ours.lower = lower
    theirs.scan = _complex_recurrence
    angles = ours.get_parameter("angles")
    shared = (
        Shared(ours.get_parameter("content.weight"), theirs.input_proj.weight, _apart),
        Shared(ours.get_parameter("content.bias"), theirs.input_proj.bias, _apart),
        Shared(angles, theirs.theta_forward, lambda one: one[0, 0], lambda both: both[0]),
        Shared(angles, theirs.theta_reverse, lambda one: one[0, 0], lambda both: both[1]),
    )
    maps = {
        "forget": theirs.lambda_proj,
        "gate": theirs.gate,
        "norm": theirs.norm,
        "out": theirs.out_proj,
    }

    def run(x: Tensor) -> Tensor:
        out: Tensor = theirs(x.transpose(0, 1), lower).transpose(0, 1)
        return out

    return Compared(ours, run, maps, shared)


def _apart(numbers: Tensor) -> Tensor:
    """Real parts before imaginary ones, which follow one another."""
    return torch.cat([numbers[0::2], numbers[1::2]])


def _complex_recurrence(
    real: Tensor, imaginary: Tensor, factor_real: Tensor, factor_imaginary: Tensor
) -> tuple[Tensor, Tensor]:
    """h_t = γ_t h_(t−1) + x_t along the first dimension."""
    x, factors = torch.complex(real, imaginary), torch.complex(factor_real, factor_imaginary)
    states = [x[0]]
    for token, factor in zip(x[1:], factors[1:], strict=True):
        states.append(factor * states[-1] + token)
    whole = torch.stack(states)
    return whole.real, whole.imag


class TwoWayDeltaRule(nn.Module):
    """The layer of flash-linear-attention without its convolutions, its rule in both directions."""

    def __init__(self, rule: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.rule = rule
        self.q, self.k, self.v, self.out = (nn.Linear(DIM, DIM) for _ in range(4))
        self.beta, self.norm = nn.Linear(DIM, HEADS), nn.RMSNorm(WIDTH, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to outputs."""
        q, k, v = (
            one(x).unflatten(-1, (HEADS, WIDTH)).transpose(1, 2) for one in (self.q, self.k, self.v)
        )
        q, k = (functional.normalize(functional.silu(one), dim=-1) for one in (q, k))
        # Theirs divides q by √d, which ours leaves to the norm.
        q, beta = q * WIDTH**0.5, self.beta(x).sigmoid().transpose(1, 2)
        ahead, _ = self.rule(q, k, v, beta)
        back, _ = self.rule(q.flip(2), k.flip(2), v.flip(2), beta.flip(2))
        out: Tensor = self.out(self.norm(ahead + back.flip(2)).transpose(1, 2).flatten(2))
        return out


def deltanet() -> Compared:
    """flash-linear-attention's rule, chunk by chunk."""
    from naive import delta_rule_chunkwise

    ours, theirs = _mixer("deltanet"), TwoWayDeltaRule(delta_rule_chunkwise).double()
    maps = {
        "query": theirs.q,
        "key": theirs.k,
        "value": theirs.v,
        "out": theirs.out,
        "strength": theirs.beta,
    }
    shared = (Shared(ours.get_parameter("norm"), theirs.norm.weight),)
    return Compared(ours, theirs, maps, shared)


def _backwards(numbers: Tensor) -> Tensor:
    return numbers.flip(0)


def _take_fairseq_apart() -> None:
    """Let some modules of it be imported: the whole wants packages of its time."""
    if "fairseq" in sys.modules:
        return
    found = importlib.util.find_spec("fairseq")
    assert found is not None
    assert found.submodule_search_locations is not None
    (place,) = found.submodule_search_locations
    for name in ("fairseq", "fairseq.modules"):
        bare = ModuleType(name)
        bare.__path__ = [str(Path(place).parent / name.replace(".", "/"))]
        sys.modules[name] = bare
    for name in ("data", "logging", "logging.meters", "modules.gelu"):
        sys.modules[f"fairseq.{name}"] = MagicMock()
    sys.modules["fairseq.modules.multihead_attention"] = MagicMock()
    bare.__dict__.update(gelu=None, gelu_accurate=None)


COMPARISONS: dict[str, tuple[Callable[[], Compared], ...]] = {
    "longformer": (lambda: longformer(0), lambda: longformer(5)),
    "bigbird": (bigbird,),
    "mega": (lambda: mega("softmax", 0), lambda: mega("laplace", 128)),
    "hgrn": (lambda: hgrn(0.0), lambda: hgrn(0.5)),
    "deltanet": (deltanet,),
    "s4": (lambda: s4("zoh"), lambda: s4("bilinear")),
    "s4d": (s4d,),
    "xpos": (xpos,),
    "transformer-ls": (lambda: transformer_ls(8, 32), lambda: transformer_ls(1, 254)),
}


def main() -> int:
    """Compare those that are named; 1 where an error is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=COMPARISONS)
    parser.add_argument("--source", type=Path, help="where the authors' modules are")
    arguments = parser.parse_args()
    if arguments.source is not None:
        sys.path.insert(0, str(arguments.source))
    torch.set_default_dtype(torch.float64)
    worst = 0.0
    for name in arguments.names:
        for make in COMPARISONS[name]:
            torch.manual_seed(0)
            compared = make()
            outputs, gradients = errors(compared)
            print(f"{name:<16}{outputs:.1e} {gradients:.1e}", flush=True)
            worst = max(worst, outputs, gradients)
    return int(not worst <= ALLOWED)


def errors(compared: Compared) -> tuple[float, float]:
    """Largest relative errors of outputs and of gradients."""
    pairs = _copied(compared)
    x = torch.randn(BATCH, LENGTH, DIM)
    weights = torch.randn(BATCH, LENGTH, DIM)
    results = []
    with _no_float32():
        for run in (compared.run, compared.mixed):
            tokens = x.clone().requires_grad_()
            out = run(tokens)
            (out * weights).sum().backward()
            results.append((out.detach(), tokens.grad))
    (expected, expected_slope), (found, slope) = results
    gradients = [(slope, expected_slope), *(_gradients(pair) for pair in pairs)]
    # The gradient of a bias that adds the same to all of a token's scores is 0 but for rounding.
    least = 1e-6 * max(float(other.abs().max()) for _, other in gradients)
    return _error(found, expected), max(_error(one, other, least) for one, other in gradients)


def _mixer(text: str) -> Mixer:
    return mixers.create(mixers.parse(text), GEOMETRY).double().eval()


def _encoding(text: str) -> Encoding:
    return encodings.create(encodings.parse(text), GEOMETRY).double().eval()


def _copied(compared: Compared) -> list[Shared]:
    """Make parameters away from their starting values the same."""
    mapped = [
        Shared(own, theirs.get_parameter(parameter))
        for name, theirs in compared.maps.items()
        for parameter, own in compared.ours.get_submodule(name).named_parameters()
    ]
    with torch.no_grad():
        for one in (*mapped, *compared.shared):
            one.theirs.add_(torch.randn_like(one.theirs), alpha=0.1)
            one.part(one.ours).copy_(one.arranged(one.theirs))
    return [*mapped, *compared.shared]


def _gradients(shared: Shared) -> tuple[Tensor, Tensor]:
    """Ours and theirs, laid out alike."""
    ours, theirs = shared.ours.grad, shared.theirs.grad
    assert ours is not None
    assert theirs is not None
    return shared.part(ours), shared.arranged(theirs)


@contextmanager
def _no_float32() -> Iterator[None]:
    """Some cast to float32 in places; the comparison is of formulas, in float64."""
    softmax = functional.softmax

    def exact(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
        return softmax(x, dim=dim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, Tensor.float.__name__, Tensor.double)
        patch.setattr(functional, softmax.__name__, exact)
        yield


def _error(ours: Tensor | None, theirs: Tensor | None, least: float = 0.0) -> float:
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).abs().max()) / max(float(theirs.abs().max()), least)


if __name__ == "__main__":
    sys.exit(main())
