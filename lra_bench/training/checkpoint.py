"""Checkpoints: written atomically with a checksum, the previous one kept, read without pickle."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_DIGEST = hashlib.sha256().digest_size
# What a block itself held before it had a mixer.
_FORMER = re.compile(r"(?<=blocks\.)(\d+)\.(attention_norm|attention|query|key|value|out)(?=\.)")
_PRESENT = {"attention_norm": "mixer_norm", "attention": "mixer"}


class Checkpoint:
    """The two newest states of one unfinished cell, in a directory of their own.

    Args:
        directory: the cell's own.
        before_save: raises where this process may no longer save; see `results.claims`.
    """

    def __init__(self, directory: Path, before_save: Callable[[], None] = lambda: None) -> None:
        self.directory, self.before_save = directory, before_save
        self.current = directory / "current.pt"
        self.previous = directory / "previous.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the current state; what it was becomes the previous one."""
        self.directory.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        staging = self.directory / f"staging.{uuid.uuid4().hex}"
        try:
            with staging.open("wb") as file:
                file.write(hashlib.sha256(buffer.getbuffer()).digest())
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            self.before_save()
            if self.current.exists():
                self.current.replace(self.previous)
            staging.replace(self.current)
        finally:
            staging.unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest whole state, or None; and a line on each damaged one that was passed over."""
        complaints = []
        for path in (self.current, self.previous):
            if not path.exists():
                continue
            content = path.read_bytes()
            digest, body = content[:_DIGEST], content[_DIGEST:]
            if hashlib.sha256(body).digest() != digest:
                complaints.append(f"checkpoint {path} is damaged; passed over")
                continue
            state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
            for weights in state.keys() & {"model", "best_weights"}:
                state[weights] = {_present(name): value for name, value in state[weights].items()}
            return dict(state), complaints
        return None, complaints

    def remove(self) -> None:
        """Delete both states: the cell's record is written."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _present(name: str) -> str:
    """A weight's name in today's model; earlier versions wrote some otherwise."""
    return _FORMER.sub(lambda m: f"{m[1]}.{_PRESENT.get(m[2], f'mixer.{m[2]}')}", name)
