"""Each built-in encoding once more, as its definition says: slow, in float64, pair by pair.

Nothing here is shared with the fast code. An oracle reads the encoding's weights (and, of a
stochastic one, the noise of the draw) and writes out what the encoding does to every pair of
positions (m, n), as explicit matrices. A plugin may bring its own as a class attribute `oracle`.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_bench.encodings._combined import Combined
from lra_bench.encodings.alibi import Alibi
from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.encodings.cosformer import Cosformer
from lra_bench.encodings.fastrpb import FastRpb
from lra_bench.encodings.fire import Fire
from lra_bench.encodings.kerple import Kerple
from lra_bench.encodings.leap import Leap
from lra_bench.encodings.learned import Learned
from lra_bench.encodings.lrpe import Lrpe
from lra_bench.encodings.none import NoEncoding
from lra_bench.encodings.rope import Rope
from lra_bench.encodings.sinusoidal import Sinusoidal
from lra_bench.encodings.spe_conv import SpeConv
from lra_bench.encodings.spe_sine import SpeSine
from lra_bench.encodings.t5 import T5
from lra_bench.encodings.xpos import Xpos

FeatureMap = Callable[[Tensor], Tensor]
Pairs = Float[Tensor, "batch heads n n"]


class Oracle:
    """What an encoding does by its definition; this base does nothing, as `none`.

    All results are float64. A hook that the encoding does not have answers None. Padding is not
    treated here: the caller leaves out the columns of padded keys.
    """

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Weights of kernel attention, or the raw scores of softmax.

        With a feature map φ: (numerator, denominator), where v_j enters out_i with weight
        numerator_ij and out_i is divided by the sum of denominator_ij over j.
        With None: the raw scores q̂_i · k̂_j of softmax in both places, before the division by
        √d, the bias and the exponential.
        `feature_map` is applied to queries and to keys, (batch, heads, n, d) → (…, features).
        `codes` is what `encoding.prepare` gave, read only by the oracles of stochastic encodings.
        """
        phi = feature_map or _identity
        scores = _products(phi(q.double()), phi(k.double()))
        return scores, scores

    def embed(self, encoding: Encoding, n: int) -> Float[Tensor, "n dim"] | None:
        """What is added to the token embeddings."""
        return None

    def bias(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """What is added to the score of query i (row) and key j (column)."""
        return None

    def mix(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """The matrix W in out + W v."""
        return None


class MatrixOracle(Oracle):
    """Queries and keys multiplied by a matrix W_n of their position, before or after φ."""

    def matrix(self, encoding: Any, position: int, length: int) -> Float[Tensor, "e d"]:
        """W_n, real or complex, of a token at `position` in a sequence of true `length`."""
        raise NotImplementedError

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Re[(W_i f_i)ᴴ (W_j f_j)], where f are the features, or the inputs of the feature map."""
        phi = feature_map or _identity
        q, k = q.double(), k.double()
        if feature_map is None or encoding.stage == "inputs":
            turned = self._turn(encoding, q, lengths), self._turn(encoding, k, lengths)
            turned = self.real(encoding, turned[0]), self.real(encoding, turned[1])
            scores = _products(phi(turned[0]), phi(turned[1]))
            return scores, scores
        q, k = phi(q), phi(k)
        plain = _products(q, k)
        weights = _products(
            self.real(encoding, self._turn(encoding, q, lengths)),
            self.real(encoding, self._turn(encoding, k, lengths)),
        )
        return weights, weights if encoding.denominator == "transformed" else plain

    def real(self, encoding: Any, x: Tensor) -> Tensor:
        """A complex vector as a real one of twice the width: Re(xᴴy) becomes x · y."""
        return torch.cat([x.real, x.imag], dim=-1) if x.is_complex() else x

    def _turn(self, encoding: Encoding, x: Tensor, lengths: Tensor | None) -> Tensor:
        """W_n x_n, token by token; features wider than a head in blocks of the head's width."""
        batch, _, n, width = x.shape
        d = encoding.geometry.head_dim
        sequences = []
        for b in range(batch):
            length = n if lengths is None else int(lengths[b])
            tokens = []
            for i in range(n):
                w = self.matrix(encoding, i, length)
                blocks = [x[b, :, i, s : s + d].to(w.dtype) @ w.T for s in range(0, width, d)]
                tokens.append(torch.cat(blocks, dim=-1))
            sequences.append(torch.stack(tokens, dim=1))
        return torch.stack(sequences)


class RopeOracle(MatrixOracle):
    """Rotation matrices."""

    def matrix(self, encoding: Rope, position: int, length: int) -> Tensor:
        """One 2 × 2 rotation for each pair of channels (2i, 2i + 1)."""
        d = encoding.geometry.head_dim
        place = _place(encoding.geometry, position, encoding.grid)
        pairs = d // 2 // len(place)
        return torch.block_diag(
            *(
                _rotation(coordinate * 10000 ** (-i / pairs))
                for coordinate in place
                for i in range(pairs)
            )
        )


class XposOracle(Oracle):
    """A matrix for each distance, between the two feature vectors."""

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """f_i · (A_(i − j) f_j), over blocks of d features; the plain products normalise."""
        phi = feature_map or _identity
        q, k = phi(q.double()), phi(k.double())
        plain = _products(q, k)
        weights = torch.zeros_like(plain)
        width = encoding.geometry.head_dim
        for i in range(q.shape[-2]):
            for j in range(k.shape[-2]):
                a = self._matrix(encoding, i - j)
                for start in range(0, q.shape[-1], width):
                    f, g = (x[..., start : start + width] for x in (q[:, :, i], k[:, :, j]))
                    weights[:, :, i, j] += (f * (g @ a.T)).sum(-1)
        return weights, weights if feature_map is None else plain

    def _matrix(self, encoding: Any, away: int) -> Tensor:
        """((2i/d + 0.4)/1.4)^((m − n)/base) times a turn by (n − m) · 10000^(−2i/d)."""
        d = encoding.geometry.head_dim
        return torch.block_diag(
            *(
                ((2 * i / d + 0.4) / 1.4) ** (away / encoding.base)
                * _rotation(-away * 10000 ** (-2 * i / d))
                for i in range(d // 2)
            )
        )


class CosformerOracle(MatrixOracle):
    """Features doubled into a cosine and a sine part."""

    def matrix(self, encoding: Cosformer, position: int, length: int) -> Tensor:
        """[cos; sin] of π/2 · n/M on every channel; padding counts as the last token."""
        eye = torch.eye(encoding.geometry.head_dim, dtype=torch.float64)
        angle = math.pi / 2 * min(position, length - 1) / length
        return torch.cat([eye * math.cos(angle), eye * math.sin(angle)])


class LrpeOracle(MatrixOracle):
    """Λⁿ P, the power taken by multiplying Λ with itself."""

    def matrix(self, encoding: Lrpe, position: int, length: int) -> Tensor:
        """Λ multiplied n times, times P; complex where either is."""
        core, basis = self._core(encoding), self._basis(encoding)
        power = torch.linalg.matrix_power(core, position)
        if power.is_complex() or basis.is_complex():
            return power.to(torch.complex128) @ basis.to(torch.complex128)
        return power @ basis

    def real(self, encoding: Lrpe, x: Tensor) -> Tensor:
        """The unitary core puts the parts of a channel side by side; the order is its own."""
        if encoding.core == "unitary":
            return torch.view_as_real(x).flatten(-2)
        return super().real(encoding, x)

    def _core(self, encoding: Lrpe) -> Tensor:
        d = encoding.geometry.head_dim
        if encoding.core == "permutation":
            source = encoding.powers[1].tolist()
            core = torch.zeros(d, d, dtype=torch.float64)
            for channel in range(d):
                core[channel, source[channel]] = 1
            return core
        learned = getattr(encoding, "theta", None)
        if encoding.core == "unitary":
            theta = [10000 ** (-2 * c / d) for c in range(d)]
            theta = theta if learned is None else learned.tolist()
            return torch.diag(torch.tensor([complex(math.cos(t), math.sin(t)) for t in theta]))
        turned = d if encoding.core == "orthogonal" else d // 2
        theta = [10000 ** (-2 * c / turned) for c in range(turned // 2)]
        theta = theta if learned is None else learned.tolist()
        return torch.block_diag(
            *(_rotation(t) for t in theta), torch.eye(d - turned, dtype=torch.float64)
        )

    def _basis(self, encoding: Lrpe) -> Tensor:
        d = encoding.geometry.head_dim
        basis = torch.zeros(d, d, dtype=torch.float64)
        if "householder" in encoding.basis:
            v = encoding.v.detach().double()
            return torch.eye(d, dtype=torch.float64) - 2 * torch.outer(v, v) / (v @ v)
        if encoding.basis == "fourier":
            unit = [
                [cmath.exp(-2j * math.pi * row * column / d) / math.sqrt(d) for column in range(d)]
                for row in range(d)
            ]
            return torch.tensor(unit, dtype=torch.complex128)
        for row in range(d):
            if encoding.basis == "identity":
                basis[row, row] = 1
            elif encoding.basis == "odd-even":
                half = (d + 1) // 2
                basis[row, 2 * row if row < half else 2 * (row - half) + 1] = 1
            else:
                scale = math.sqrt((1 if row == 0 else 2) / d)
                for column in range(d):
                    basis[row, column] = scale * math.cos(math.pi * row * (column + 0.5) / d)
        return basis


class LeapOracle(Oracle):
    """Each weight times the cosine of the difference of two learned proportions."""

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Σ over blocks of d features of f_i · f_j cos(π/2 (σ(f_q(f_i)) − σ(f_k(f_j))))."""
        if not isinstance(encoding, Leap) or feature_map is None:
            raise ValueError("LeaP re-weights the features of kernel attention")
        q, k = feature_map(q.double()), feature_map(k.double())
        width = encoding.geometry.head_dim
        weights = torch.zeros(*q.shape[:-1], k.shape[-2], dtype=torch.float64)
        for start in range(0, q.shape[-1], width):
            f, g = q[..., start : start + width], k[..., start : start + width]
            p = torch.sigmoid(_perceptron(encoding.queries, f))
            s = torch.sigmoid(_perceptron(encoding.keys, g))
            weights += _products(f, g) * torch.cos(math.pi / 2 * (p - s.transpose(-1, -2)))
        return weights, weights


class SpeOracle(Oracle):
    """Random codes, multiplied out; and what they tend to as the draws grow in number."""

    def codes(self, encoding: Any, codes: Any, n: int) -> tuple[Tensor, Tensor]:
        """q̄ and k̄ of a draw, (heads, n, d, R) each, not yet divided by √R."""
        raise NotImplementedError

    def covariance(self, encoding: Any, n: int) -> Float[Tensor, "heads d n n"]:
        """P_c(m − n) = E[q̄_m k̄_n] of every channel, gate included."""
        raise NotImplementedError

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """φ(q̂_i) · φ(k̂_j) with q̂_r = Σ_c q_c q̄_(c,r) / √R, for the draw at hand."""
        phi = feature_map or _identity
        q_codes, k_codes = self.codes(encoding, codes, q.shape[-2])
        scale = math.sqrt(q_codes.shape[-1])
        coded_q = torch.einsum("bhnd,hndr->bhnr", q.double(), q_codes) / scale
        coded_k = torch.einsum("bhnd,hndr->bhnr", k.double(), k_codes) / scale
        scores = _products(phi(coded_q), phi(coded_k))
        return scores, scores

    def expected_scores(
        self,
        encoding: Encoding,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
    ) -> Pairs:
        """E[q̂_i · k̂_j] = Σ_c P_c(i − j) q_ic k_jc: relative, unlike any one draw."""
        p = self.covariance(encoding, q.shape[-2])
        return torch.einsum("bhid,hdij,bhjd->bhij", q.double(), p, k.double())


class SpeSineOracle(SpeOracle):
    """Sums of sines with random weights."""

    def codes(self, encoding: SpeSine, codes: Any, n: int) -> tuple[Tensor, Tensor]:
        """Sine by sine."""
        noise = codes.noise.detach().double()
        frequencies, offsets, gains = self._parameters(encoding)
        heads, width, sines = frequencies.shape
        made = torch.zeros(2, heads, n, width, noise.shape[-1], dtype=torch.float64)
        for m in range(n):
            for sine in range(sines):
                weight = (gains[..., sine] / math.sqrt(2 * sines)).unsqueeze(-1)
                for which, shift in enumerate((offsets[..., sine], torch.zeros(heads, width))):
                    phase = (2 * math.pi * frequencies[..., sine] * m + shift).unsqueeze(-1)
                    made[which, :, m] += weight * phase.cos() * noise[:, :, sine]
                    made[which, :, m] += weight * phase.sin() * noise[:, :, sines + sine]
        q_codes, k_codes = (_gated(encoding, codes, code) for code in made)
        return q_codes, k_codes

    def covariance(self, encoding: SpeSine, n: int) -> Tensor:
        """Σ_k g_k²/(2K) cos(2π f_k (m − n) + o_k)."""
        frequencies, offsets, gains = self._parameters(encoding)
        place = torch.arange(n, dtype=torch.float64)
        away = place.unsqueeze(1) - place
        phases = 2 * math.pi * frequencies[..., None, None] * away + offsets[..., None, None]
        weights = gains**2 / (2 * gains.shape[-1])
        return _gated_covariance(encoding, torch.einsum("hdk,hdkij->hdij", weights, phases.cos()))

    def _parameters(self, encoding: SpeSine) -> tuple[Tensor, Tensor, Tensor]:
        """Frequencies in cycles a token, offsets in radians, gains."""
        frequencies, offsets, gains = (
            weights.detach().double()
            for weights in (encoding.frequencies, encoding.offsets, encoding.gains)
        )
        return 1 / (1 + torch.exp(-frequencies)) / 2, offsets, torch.log(1 + torch.exp(gains))


class SpeConvOracle(SpeOracle):
    """Noise under a sliding kernel."""

    def codes(self, encoding: SpeConv, codes: Any, n: int) -> tuple[Tensor, Tensor]:
        """Tap by tap."""
        noise = encoding.noise(codes, n).detach().double()
        kernels = encoding.kernels.detach().double()
        heads, width, _, rows, columns = kernels.shape
        made = torch.zeros(2, heads, n, width, noise.shape[-1], dtype=torch.float64)
        for m in range(n):
            row, column = self._origin(encoding, m)
            for i in range(rows):
                for j in range(columns):
                    under = noise[:, :, row + i, column + j]
                    for which in range(2):
                        made[which, :, m] += kernels[:, :, which, i, j].unsqueeze(-1) * under
        q_codes, k_codes = (_gated(encoding, codes, code) for code in made)
        return q_codes, k_codes

    def covariance(self, encoding: SpeConv, n: int) -> Tensor:
        """Σ_l w_l w′_(l + m − n), over both axes on a grid."""
        kernels = encoding.kernels.detach().double()
        heads, width, _, rows, columns = kernels.shape
        p = torch.zeros(heads, width, n, n, dtype=torch.float64)
        for m in range(n):
            for other in range(n):
                places = zip(self._origin(encoding, m), self._origin(encoding, other), strict=True)
                down, right = (a - b for a, b in places)
                for i in range(max(0, -down), min(rows, rows - down)):
                    for j in range(max(0, -right), min(columns, columns - right)):
                        p[:, :, m, other] += (
                            kernels[:, :, 0, i, j] * kernels[:, :, 1, i + down, j + right]
                        )
        return _gated_covariance(encoding, p)

    def _origin(self, encoding: SpeConv, m: int) -> tuple[int, int]:
        """Row and column of the noise that a token's first tap meets."""
        if not encoding.grid:
            return 0, m
        row, column = _place(encoding.geometry, m, True)
        return row + encoding.geometry.prefix, column + encoding.geometry.prefix


class FastRpbOracle(Oracle):
    """The matrix W, entry by entry."""

    def mix(self, encoding: Encoding, n: int) -> Tensor:
        """w(m − n); on a grid w(r − r′) + u(c − c′); zero in the prefix's rows and columns."""
        if not isinstance(encoding, FastRpb):
            raise TypeError("this oracle is FastRPB's")
        geometry = encoding.geometry
        w = torch.zeros(geometry.heads, n, n, dtype=torch.float64)
        for m in range(geometry.prefix, n):
            for other in range(geometry.prefix, n):
                if encoding.grid:
                    here, there = (_place(geometry, i, True) for i in (m, other))
                else:
                    here, there = (m,), (other,)
                for table, a, b in zip(encoding.weights, here, there, strict=True):
                    entry = abs(a - b) if encoding.symmetric else a - b + table.shape[1] // 2
                    w[:, m, other] += table.detach().double()[:, entry]
        return w


class SinusoidalOracle(Oracle):
    """Sines at even, cosines at odd channels."""

    def embed(self, encoding: Any, n: int) -> Tensor:
        """One number at a time."""
        table = torch.zeros(n, encoding.geometry.dim, dtype=torch.float64)
        for i in range(n):
            place = _place(encoding.geometry, i, encoding.grid)
            width = encoding.geometry.dim // len(place)
            for axis, coordinate in enumerate(place):
                for c in range(0, width, 2):
                    angle = coordinate / 10000 ** (c / width)
                    table[i, axis * width + c] = math.sin(angle)
                    table[i, axis * width + c + 1] = math.cos(angle)
        return table * encoding.geometry.embedding_std


class LearnedOracle(Oracle):
    """The table itself."""

    def embed(self, encoding: Any, n: int) -> Tensor:
        """Its first rows."""
        return encoding.table.detach()[:n].double()


class PairOracle(Oracle):
    """A score bias written out pair by pair."""

    def score(self, encoding: Any, head: int, m: int, n: int) -> float:
        """Bias of query m and key n."""
        raise NotImplementedError

    def bias(self, encoding: Encoding, n: int) -> Tensor:
        """Every head, query and key in turn."""
        heads = encoding.geometry.heads
        return torch.tensor(
            [
                [[self.score(encoding, h, i, j) for j in range(n)] for i in range(n)]
                for h in range(heads)
            ],
            dtype=torch.float64,
        )


class AlibiOracle(PairOracle):
    """A slope a head."""

    def score(self, encoding: Alibi, head: int, m: int, n: int) -> float:
        """−slope |m − n|."""
        return -_alibi_slopes(encoding.geometry.heads)[head] * abs(m - n)


def _alibi_slopes(heads: int) -> list[float]:
    """A geometric sequence for a power of two; else that of the lower one, and between it."""
    lower = 2 ** math.floor(math.log2(heads))
    if lower == heads:
        return [2.0 ** (-8 * head / heads) for head in range(1, heads + 1)]
    return _alibi_slopes(lower) + _alibi_slopes(2 * lower)[::2][: heads - lower]


class T5Oracle(PairOracle):
    """The buckets of T5, found by searching the distance among their borders."""

    def score(self, encoding: T5, head: int, m: int, n: int) -> float:
        """The entry of the bucket that m − n falls into."""
        buckets = encoding.table.shape[1]
        both = bool(encoding.bucket[0] != encoding.bucket[encoding.distance])
        half = buckets // 2 if both else buckets
        single, away = half // 2, abs(m - n) if both else max(m - n, 0)
        borders = [float(edge) for edge in range(single + 1)]
        growth = (encoding.distance / single) ** (1 / (half - single))
        borders += [single * growth**step for step in range(1, half - single)]
        inside = [b for b, border in enumerate(borders) if away >= border * (1 - 1e-12)]
        return float(encoding.table.detach()[head, inside[-1] + (half if both and n > m else 0)])


class KerpleOracle(PairOracle):
    """The kernels of KERPLE."""

    def score(self, encoding: Kerple, head: int, m: int, n: int) -> float:
        """−r₁ log(1 + r₂ |m − n|), or −r₁ |m − n|^r₂."""
        first, second = encoding.r1[head].item(), encoding.r2[head].item()
        r1, away = math.log1p(math.exp(first)), abs(m - n)
        if encoding.kernel == "log":
            return -r1 * math.log(1 + math.log1p(math.exp(second)) * away)
        return -r1 * away ** (2 / (1 + math.exp(-second)))


class FireOracle(PairOracle):
    """The interpolated function of FIRE."""

    def score(self, encoding: Fire, head: int, m: int, n: int) -> float:
        """f(±ψ(|m − n|) / ψ(max(L, m, n))), or f(ψ(|m − n|) / ψ(max(L, m)))."""
        c = abs(encoding.c.item())
        far = max(abs(encoding.stretch.item()) * encoding.start, m, n if encoding.signed else 0)
        ratio = math.log(c * abs(m - n) + 1) / math.log(c * far + 1)
        ahead = encoding.signed and n > m
        x = torch.tensor([-ratio if ahead else ratio], dtype=torch.float64)
        hidden = torch.relu(_linear(encoding.inner, x))
        return float(_linear(encoding.outer, hidden)[head])


class CombinedOracle(Oracle):
    """The definitions of all parts; weights are those of the one part that transforms."""

    def __init__(self, oracles: Sequence[Oracle]) -> None:
        self.oracles = oracles

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Those of the part that transforms, or the plain ones."""
        for oracle, part, own in zip(self.oracles, _parts(encoding), codes, strict=True):
            if "transform" in part.hooks():
                return oracle.pairwise(part, feature_map, q, k, lengths, own)
        return super().pairwise(encoding, feature_map, q, k, lengths, codes)

    def embed(self, encoding: Encoding, n: int) -> Float[Tensor, "n dim"] | None:
        """The sum of the parts'."""
        return self._sum(encoding, lambda oracle, part: oracle.embed(part, n))

    def bias(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """The sum of the parts'."""
        return self._sum(encoding, lambda oracle, part: oracle.bias(part, n))

    def mix(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """The sum of the parts'."""
        return self._sum(encoding, lambda oracle, part: oracle.mix(part, n))

    def _sum(
        self, encoding: Encoding, of: Callable[[Oracle, Encoding], Tensor | None]
    ) -> Tensor | None:
        pairs = zip(self.oracles, _parts(encoding), strict=True)
        terms = [term for oracle, part in pairs if (term := of(oracle, part)) is not None]
        return torch.stack(terms).sum(0) if terms else None


def _parts(encoding: Encoding) -> list[Encoding]:
    assert isinstance(encoding, Combined)
    return encoding.each()


def oracle_of(encoding: Encoding) -> Oracle | None:
    """The oracle of an encoding: its own class attribute `oracle`, a built-in one, or None."""
    own = getattr(encoding, "oracle", None)
    if own is not None:
        return own() if isinstance(own, type) else own
    if isinstance(encoding, Combined):
        return _combined_oracle(encoding)
    return _BUILT_IN.get(type(encoding))


def _combined_oracle(encoding: Combined) -> Oracle | None:
    """None where a part has none, or where it has several transforms."""
    oracles = [oracle_of(part) for part in encoding.each()]
    transforms = sum("transform" in part.hooks() for part in encoding.each())
    if transforms > 1 or None in oracles:
        return None
    return CombinedOracle([one for one in oracles if one is not None])


_BUILT_IN: dict[type[Encoding], Oracle] = {
    NoEncoding: Oracle(),
    Sinusoidal: SinusoidalOracle(),
    Learned: LearnedOracle(),
    Rope: RopeOracle(),
    Xpos: XposOracle(),
    Lrpe: LrpeOracle(),
    Cosformer: CosformerOracle(),
    Leap: LeapOracle(),
    Alibi: AlibiOracle(),
    T5: T5Oracle(),
    Kerple: KerpleOracle(),
    Fire: FireOracle(),
    SpeSine: SpeSineOracle(),
    SpeConv: SpeConvOracle(),
    FastRpb: FastRpbOracle(),
}


def _identity(x: Tensor) -> Tensor:
    return x


def _rotation(angle: float) -> Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return x @ layer.weight.detach().double().T + layer.bias.detach().double()


def _perceptron(module: nn.Module, x: Tensor) -> Tensor:
    """One linear map, or two with ReLU between them."""
    weights = [parameter.detach().double() for parameter in module.parameters()]
    x = x @ weights[0].T + weights[1]
    return x if len(weights) == 2 else torch.relu(x) @ weights[2].T + weights[3]


def _gated(encoding: Any, codes: Any, code: Tensor) -> Tensor:
    """√(1 − γ) code + √γ ε, the code being (heads, n, d, R)."""
    if encoding.gate is None:
        return code
    gate = torch.sigmoid(encoding.gate.detach().double())[:, None, :, None]
    noise = codes.gate_noise.detach().double().unsqueeze(1)
    return torch.sqrt(1 - gate) * code + torch.sqrt(gate) * noise


def _gated_covariance(encoding: Any, p: Tensor) -> Tensor:
    """(1 − γ) P + γ."""
    if encoding.gate is None:
        return p
    gate = torch.sigmoid(encoding.gate.detach().double())[..., None, None]
    return (1 - gate) * p + gate


def _products(q: Tensor, k: Tensor) -> Tensor:
    return torch.einsum("bhie,bhje->bhij", q, k)


def _place(geometry: Geometry, index: int, grid: bool) -> tuple[int, ...]:
    """Coordinates of a token: its index, or (row, column) with the prefix before the corner."""
    if not grid:
        return (index,)
    if geometry.grid is None:
        raise ValueError("no grid")
    if index < geometry.prefix:
        return (index - geometry.prefix, index - geometry.prefix)
    return divmod(index - geometry.prefix, geometry.grid[1])
