"""Any network, cut at the output of one of its modules: no code of its own is needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.adapted import Adapted

_SIDE = 64
_NAMED = 3
"""Modules at most that an error names."""


class _Reached(Exception):
    """The module has its output, and the rest of the forward pass is not needed."""


def split_at(network: nn.Module, name: str, *, before: bool = False, **options: Any) -> Adapted:
    """Gives a network the split point at a module: z is its output, and the decoder is the rest of the forward pass.

    The rest must depend on nothing else that the image reaches: a decoder with skip connections is cut after the last
    of them. `check` sees to that.

    Args:
        network: The network; a forward pass of images (B, 3, H, W) gives logits, alone or as `out` or `logits`.
        name: The module's dotted name, as `named_modules()` has it.
        before: Cut at the module's input.
        options: As for `Adapted`.

    Raises:
        UserError: if there is no such module; the nearest name is given.
    """
    names = [known for known, _ in network.named_modules() if known]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1, cutoff=0.3)
        fix = f"did you mean {near[0]}?" if near else "print [name for name, _ in network.named_modules()]"
        raise UserError(f"--split-at a module of {type(network).__name__}", repr(name), fix)
    cut = _Cut(name, before)
    return Adapted(network, encode=cut.encode, decode=cut.decode, **options)


def logits_of(output: Any) -> Any:
    """Returns the logits of what a forward pass gave: a tensor, or `out` or `logits` of a mapping or an object."""
    for name in ("out", "logits"):
        if isinstance(output, Mapping) and name in output:
            return output[name]
        if not isinstance(output, Tensor) and hasattr(output, name):
            return getattr(output, name)
    return output[0] if isinstance(output, tuple | list) and output else output


class _Cut:
    """Both sides of a module.

    A decoder needs images for the sizes that the forward pass takes from them. They are black, and modules that have
    ended before the cut give again what they gave for black images once, which saves their time.
    """

    def __init__(self, name: str, before: bool) -> None:
        self._name, self._before = name, before
        self._key: tuple[Any, ...] = ()
        self._constant: dict[str, Any] = {}

    def encode(self, network: nn.Module, images: Tensor) -> Tensor:
        found: list[Any] = []

        def reached(value: Any) -> None:
            found.append(value)
            raise _Reached

        with suppress(_Reached), self._hooked(network, reached):
            network(images)
        if not found:
            expected = f"a module that the forward pass of {type(network).__name__} calls"
            raise UserError(expected, f"{self._name}, which it does not call", "give another --split-at")
        return found[0]

    def decode(self, network: nn.Module, z: Tensor, size: Sequence[int]) -> Tensor:
        images = z.new_zeros(len(z), 3, *size)
        key = (id(network), len(z), tuple(size), z.device, z.dtype)
        if key != self._key:
            with torch.no_grad():
                self._constant = self._outputs_before(network, images)
            self._key = key
        with self._hooked(network, lambda _: z), _giving(network, self._constant):
            return logits_of(network(images))

    @contextmanager
    def _hooked(self, network: nn.Module, put: Any) -> Iterator[None]:
        """Lets a function see, and replace, what goes through the cut."""
        module = network.get_submodule(self._name)
        if self._before:
            handle: Any = module.register_forward_pre_hook(lambda _, given: (put(given[0]), *given[1:]))
        else:
            handle = module.register_forward_hook(lambda _, __, output: put(output))
        try:
            yield
        finally:
            handle.remove()

    def _outputs_before(self, network: nn.Module, images: Tensor) -> dict[str, Any]:
        """Returns name -> output of the largest modules that are called once and end before the cut."""
        ended: dict[str, list[Any]] = {}
        with ExitStack() as hooks:
            for name, module in network.named_modules():
                if name and name != self._name:
                    keep = lambda _, __, output, name=name: ended.setdefault(name, []).append(output)  # noqa: E731
                    hooks.callback(module.register_forward_hook(keep).remove)
            self.encode(network, images)
        inside = lambda name: any(name.startswith(f"{other}.") for other in ended)  # noqa: E731
        return {name: outputs[0] for name, outputs in ended.items() if len(outputs) == 1 and not inside(name)}

    def around(self, network: nn.Module, images: Tensor) -> list[str]:
        """Returns the modules before the cut whose output the decoder takes beside z, the last of them first."""
        before = self._outputs_before(network, images)
        z = self.encode(network, images)
        with self._hooked(network, lambda _: z):
            expected = logits_of(network(images))
            found = []
            for name, output in before.items():
                with _giving(network, {name: _zeros(output)}):
                    if not torch.allclose(logits_of(network(images)), expected, rtol=1e-4, atol=1e-5):
                        found.append(name)
        return found[::-1]


@contextmanager
def _giving(network: nn.Module, outputs: Mapping[str, Any]) -> Iterator[None]:
    """Lets modules give something without being run."""
    modules = [(network.get_submodule(name), output) for name, output in outputs.items()]
    for module, output in modules:
        module.forward = lambda *_, output=output, **__: output
    try:
        yield
    finally:
        for module, _ in modules:
            del module.forward


def _zeros(value: Any) -> Any:
    kind: Any = type(value)
    if isinstance(value, Tensor):
        return torch.zeros_like(value)
    if isinstance(value, Mapping):
        return kind({key: _zeros(each) for key, each in value.items()})
    if isinstance(value, tuple | list):
        return kind([_zeros(each) for each in value])
    return value


@torch.no_grad()
def check(adapted: Adapted, *, side: int = _SIDE) -> None:
    """Checks that a decoder depends on z alone: on a random image both sides together give what the network gives.

    Args:
        adapted: What `split_at` gave, in eval mode.
        side: Of the image.

    Raises:
        UserError: if it does not; the modules before the cut whose output gets past it are named.
    """
    network, cut = adapted.network, getattr(adapted._encode, "__self__", None)
    if not isinstance(cut, _Cut):
        return
    device = next((values.device for values in network.state_dict().values()), torch.device("cpu"))
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    z = cut.encode(network, images)
    if not isinstance(z, Tensor) or z.ndim != 4:
        got = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        fix = "give a module whose output is one tensor (B, C, h, w)"
        raise UserError(f"--split-at {cut._name} with one tensor (B, C, h, w) as output", got, fix)
    expected = logits_of(network(images))
    if torch.allclose(cut.decode(network, z, (side, side)), expected, rtol=1e-4, atol=1e-5):
        return
    around = cut.around(network, images)
    got = ", ".join(around[:_NAMED]) + (", ..." if len(around) > _NAMED else "") or "other parts of the image"
    fix = "cut after the last of them is used, for a U-Net after its last decoder block"
    raise UserError(f"a decoder after {cut._name} that takes its output alone", f"one that takes {got} too", fix)
