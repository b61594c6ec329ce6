"""The whole model of a cell, built from its task, mixer, encoding and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_bench.config import Settings
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.mixers import mixers
from lra_bench.mixers.base import Mixer
from lra_bench.model.encoder import Block, Encoder
from lra_bench.model.heads import PairHead, lecun_normal, single_head
from lra_bench.registry import Spec
from lra_bench.tasks.base import Task


class Classifier(nn.Module):
    """Encoder and head. Pair tasks encode both inputs with the same weights."""

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(
        self,
        tokens: Int[Tensor, "sequences n"],
        lengths: Int[Tensor, " sequences"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Class scores in float32. For pairs, sequences 2i and 2i + 1 are one example's."""
        scores: Tensor = self.head(self.encode(tokens, lengths, generator))
        return scores.float()

    def encode(
        self,
        tokens: Int[Tensor, "sequences n"],
        lengths: Int[Tensor, " sequences"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "sequences dim"]:
        """One vector a sequence, which the head gets."""
        vectors: Tensor = self.encoder(
            tokens, lengths, self.encoder.prepare(tokens, lengths, generator)
        )
        return vectors

    def compile(self, *arguments: Any, **keywords: Any) -> None:
        """Compile the encoder.

        What it prepares is left out, for a graph has no generator to draw from, and the head, which
        sees a single vector a sequence.
        """
        self.encoder.compile(*arguments, **keywords)


def geometry_of(task: Task, settings: Settings) -> Geometry:
    """The sizes that mixer and encoding are built for."""
    return Geometry(
        length=task.longest(settings.length),
        heads=settings.heads,
        head_dim=settings.qkv // settings.heads,
        dim=settings.dim,
        layers=settings.layers,
        grid=task.grid,
        prefix=1 if settings.pooling == "cls" else 0,
        embedding_std=settings.embedding_std,
        position_std=settings.position_std,
        projection_bias=settings.projection_bias,
    )


def build_encodings(spec: Spec, geometry: Geometry) -> list[Encoding]:
    """One encoding a layer: the same instance for all unless it is `per_layer`.

    Of a combination, so is each part.
    """
    by_part = [_one_a_layer(part, geometry) for part in spec.each()]
    layers = [encodings.combine(spec, parts) for parts in zip(*by_part, strict=True)]
    return layers if layers[0].per_layer else [layers[0]] * geometry.layers


def _one_a_layer(spec: Spec, geometry: Geometry) -> list[Encoding]:
    first = encodings.create(spec, geometry)
    if not first.per_layer:
        return [first] * geometry.layers
    others = range(1, geometry.layers)
    return [first, *(encodings.create(spec, replace(geometry, layer=layer)) for layer in others)]


def build_mixer(spec: Spec, geometry: Geometry, settings: Settings) -> Mixer:
    """The mixer of the layer that the geometry names."""
    return mixers.create(spec, geometry, settings.attention_dropout)


def build(task: Task, settings: Settings, mixer: Spec, encoding: Spec) -> Classifier:
    """Build a cell's model; draws its initial weights from torch's global generator."""
    geometry = geometry_of(task, settings)
    blocks = [
        Block(settings, build_mixer(mixer, replace(geometry, layer=layer), settings), own)
        for layer, own in enumerate(build_encodings(encoding, geometry))
    ]
    encoder = Encoder(task.symbols, geometry, blocks, settings)
    return Classifier(encoder, _head(task, settings))


def _head(task: Task, settings: Settings) -> nn.Module:
    sizes = (settings.dim, settings.mlp, task.classes)
    head: nn.Module = single_head(*sizes)
    if task.inputs == 2:
        head = PairHead(*sizes, settings.pair_features, settings.pair_layers)
    if settings.initialisation == "lra":
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                lecun_normal(layer)
    return head


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters; a shared one counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
