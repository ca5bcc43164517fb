"""Who can predict: a student, its teachers and their ensemble, of a PS-MT run or of any other networks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.adapters import Network, adapt
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.plugins import load_object

AnyNetwork = TypeVar("AnyNetwork", bound=Network)
_SIDE = 64
"""Of the image on which a foreign network is tried."""


class Networks(nn.Module, Generic[AnyNetwork]):
    """A student and up to two teachers that decode its z.

    Args:
        student: A network with `encode` and `decode`, or one that `adapt` knows.
        teachers: None, one or two such networks.
        classes: Class names in the order of their ids.

    Raises:
        UserError: if there are more teachers, or a network has no seam.
    """

    student: AnyNetwork

    def __init__(self, student: nn.Module, teachers: Sequence[nn.Module] = (), *, classes: Sequence[str]) -> None:
        super().__init__()
        if len(teachers) > 2:
            raise UserError("no teacher, one or two", f"{len(teachers)} teachers", "choose two of them")
        self.classes = tuple(classes)
        self.student = cast(AnyNetwork, adapt(student))
        self.teachers = nn.ModuleList(adapt(teacher) for teacher in teachers)

    def by_role(self) -> dict[str, AnyNetwork]:
        """Returns role -> network: `student` and, where there are teachers, `teacher1` and `teacher2`."""
        named = {"student": self.student}
        named |= {f"teacher{index + 1}": cast(AnyNetwork, net) for index, net in enumerate(self.teachers)}
        return named

    @property
    def roles(self) -> tuple[str, ...]:
        """Everyone that can predict here: the networks and, with two teachers, the `ensemble`."""
        return (*self.by_role(), *(("ensemble",) if len(self.teachers) == 2 else ()))

    @property
    def multiple(self) -> int:
        """The student takes images whose sides are multiples of it."""
        return self.student.multiple

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to the student's z (B, C, h, w)."""
        return self.student.encode(images)

    def decode(self, role: str, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps one z to a role's logits (B, K, *size); the ensemble's are the mean of the two teachers' logits.

        Raises:
            UserError: if there is no such role, or its logits have another number of classes.
        """
        if role not in self.roles:
            fix = "train it with --method psmt, or give Networks its teachers"
            raise UserError(f"a run with {role}", f"one with {', '.join(self.roles)}", fix)
        if role == "ensemble":
            return (self.decode("teacher1", z, size) + self.decode("teacher2", z, size)) / 2
        logits = self.by_role()[role].decode(z, size)
        if logits.shape[1] != len(self.classes):
            got, fix = f"{logits.shape[1]}", "give the classes that it was trained for"
            raise UserError(f"{len(self.classes)} logits a pixel from {role}, one a class", got, fix)
        return logits


def load_model(name: str, classes: Sequence[str]) -> Networks[Any]:
    """Loads the user's own networks, in eval mode, after they mapped one empty image to logits.

    Args:
        name: `module:name` of a network, or of a function without arguments that returns one, or a tuple of a student
            and one or two teachers; the working directory is searched after everything else.
        classes: Class names of the data in the order of their ids.

    Raises:
        UserError: if the name cannot be found or is no such thing, a weight is not finite, the networks do not fit
            together, or their logits have another number of classes.
    """
    flag = f"--model {name}"
    made = load_object(name, flag="--model", example="my_models:make")
    if not isinstance(made, nn.Module):
        made = _called(made, name)
    if isinstance(made, Networks):
        made = tuple(made.by_role().values())
    networks = made if isinstance(made, tuple) else (made,)
    if not (1 <= len(networks) <= 3 and all(isinstance(network, nn.Module) for network in networks)):
        got = f"({', '.join(type(each).__name__ for each in made)})" if isinstance(made, tuple) else type(made).__name__
        fix = "return networks of class torch.nn.Module, with their weights"
        raise UserError(f"{flag} to return a network or (student, teacher, ...) with up to two teachers", got, fix)
    roles: Networks[Any] = Networks(networks[0], networks[1:], classes=classes).eval()
    for key, values in roles.state_dict().items():
        if isinstance(values, Tensor) and not torch.isfinite(values).all():
            raise UserError(f"finite weights in {flag}", f"NaN or infinity in {key}", "give those of a good epoch")
    _try(roles, flag)
    return roles


def _called(make: Any, name: str) -> Any:
    what = name.partition(":")[2]
    fix = f"make it callable as {what}()"
    if not callable(make):
        raise UserError(f"--model {name} a network or a function that makes one", type(make).__name__, fix)
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise UserError(f"--model {name} to be called without arguments", str(error), fix) from None
    except ValueError:  # written in C, without a signature
        pass
    try:
        return make()
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        fix = f"call {what}() in Python to see where"
        raise UserError(f"--model {name} to return a network", reason, fix) from error


@torch.no_grad()
def _try(roles: Networks[Any], flag: str) -> None:
    device = next((values.device for values in roles.state_dict().values()), torch.device("cpu"))
    size = (_SIDE, _SIDE)
    try:
        z = encode_whole(roles, torch.zeros(1, 3, *size, device=device))
        logits = {
            role: decode_whole(network.decode, z, size, multiple=roles.multiple)
            for role, network in roles.by_role().items()
        }
    except UserError as error:
        raise UserError(f"{flag} with {error.expected}", error.got, error.fix) from error
    except (RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        fix = "try its encode and decode(z, size) on zeros (1, 3, 64, 64); teachers decode the student's z"
        raise UserError(f"{flag} to map a float32 image to logits", reason, fix) from error
    for role, values in logits.items():
        if values.shape[1] != len(roles.classes):
            fix = "give the data that it was trained for"
            expected = f"{flag} with logits of {len(roles.classes)} classes ({', '.join(roles.classes)})"
            raise UserError(expected, f"{values.shape[1]} of the {role}", fix)
