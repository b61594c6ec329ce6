"""Which device is taken, and what is done alike on all of them; tried without any but the CPU."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lra_bench.errors import InputError
from lra_bench.fused.library import serves
from lra_bench.model import residual_norm
from lra_bench.model.residual_norm import ResidualNorm
from lra_bench.training.device import choose_device, is_usable
from lra_bench.training.out_of_memory import give_back
from tests.replacing import replace

CUDA = torch.device("cuda", 0)


def broken(*_: Any) -> None:
    raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.mark.parametrize(
    ("accelerator", "expected"),
    [(None, "cpu"), ("cuda", "cuda"), ("xpu", "xpu"), ("mps", "cpu")],
)
def test_auto_is_the_accelerator_that_has_float64(
    monkeypatch: pytest.MonkeyPatch, accelerator: str | None, expected: str
) -> None:
    replace(
        monkeypatch,
        torch.accelerator,
        torch.accelerator.is_available,
        lambda: accelerator is not None,
    )
    found = None if accelerator is None else torch.device(accelerator)
    replace(monkeypatch, torch.accelerator, torch.accelerator.current_accelerator, lambda: found)
    replace(monkeypatch, torch, torch.zeros, lambda *_, **__: torch.ones(()))
    assert str(choose_device("auto")) == expected


@pytest.mark.parametrize(("wanted", "got"), [("cuda", "cuda:3"), ("cuda:1", "cuda:1")])
def test_a_process_of_several_touches_its_own_device_alone(
    monkeypatch: pytest.MonkeyPatch, wanted: str, got: str
) -> None:
    touched = []

    def zeros(*_: Any, device: torch.device, **__: Any) -> Tensor:
        touched.append(str(device))
        return torch.ones(())

    replace(monkeypatch, torch, torch.zeros, zeros)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert str(choose_device(wanted)) == got
    assert touched == [got]


@pytest.mark.parametrize("wanted", ["cdua", "meta", "cuda:99"])
def test_a_device_that_can_not_be_used_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match=f"device '{wanted}' can't be used: "):
        choose_device(wanted)


def test_what_is_broken_is_not_usable_and_hinders_no_cleaning_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_usable(torch.device("cpu"))
    replace(monkeypatch, torch.accelerator, torch.accelerator.synchronize, broken)
    assert not is_usable(CUDA)
    replace(
        monkeypatch, torch, torch.get_device_module, lambda _: SimpleNamespace(empty_cache=broken)
    )
    give_back(CUDA)


class GpuAutocast(TorchFunctionMode):
    """What autocast does on a GPU and not on a CPU: layer norm is computed in float32."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is functional.layer_norm:
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


def test_both_streams_keep_their_type_under_autocast_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace(monkeypatch, residual_norm, serves, lambda *_, **__: False)
    norm = ResidualNorm(8, 0.1)
    x = torch.randn(2, 3, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), GpuAutocast():
        assert functional.layer_norm(x, (8,)).dtype == torch.float32
        assert [one.dtype for one in norm.join(x, x)] == [torch.bfloat16] * 2
