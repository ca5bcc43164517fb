"""Who can predict: a student, its teachers and their ensemble, of a run or of any other networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.adapters import adapt
from psmt_viz.models.network import Network
from psmt_viz.roles import ENSEMBLE, STUDENT


class Networks(nn.Module):
    """A student and any number of teachers that decode its z.

    Args:
        student: A network with `encode` and `decode`, or one that `adapt` knows.
        teachers: Name -> such a network. A sequence gets the names `teacher1`, `teacher2`, ..., and a single one in it
            the name `teacher`.
        classes: Class names in the order of their ids.

    Raises:
        UserError: if a name cannot be a teacher's, or a network has no split point.
    """

    student: Network

    def __init__(
        self,
        student: nn.Module,
        teachers: Mapping[str, nn.Module] | Sequence[nn.Module] = (),
        *,
        classes: Sequence[str],
    ) -> None:
        super().__init__()
        named = teachers if isinstance(teachers, Mapping) else dict(zip(_names(len(teachers)), teachers, strict=True))
        for name in named:
            if not name.isidentifier() or name in (STUDENT, ENSEMBLE, "teachers"):
                fix = "choose a name of letters, digits and _ that is not student or ensemble"
                raise UserError("names of teachers such as teacher or teacher1", repr(name), fix)
        self.classes = tuple(classes)
        self.student = adapt(student)
        self.teachers = nn.ModuleDict({name: adapt(teacher) for name, teacher in named.items()})

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads a state; an older one that counts the teachers from 0 (`teachers.0.`) is understood."""
        places = {f"teachers.{index}.": f"teachers.{name}." for index, name in enumerate(self.teachers)}
        named = {}
        for key, values in state_dict.items():
            place = re.match(r"teachers\.\d+\.", key)
            start = place[0] if place else ""
            named[places.get(start, start) + key.removeprefix(start)] = values
        return super().load_state_dict(named, strict=strict, assign=assign)

    def by_role(self) -> dict[str, Network]:
        """Returns role -> network: `student` and the teachers by their names."""
        return {STUDENT: self.student, **cast(dict[str, Network], dict(self.teachers.items()))}

    @property
    def roles(self) -> tuple[str, ...]:
        """Everyone that can predict here: the networks and, with several teachers, their `ensemble`."""
        ensemble = (ENSEMBLE,) if len(self.teachers) > 1 else ()
        return (*self.by_role(), *ensemble)

    @property
    def multiple(self) -> int:
        """The student takes images whose sides are multiples of it."""
        return self.student.multiple

    def encode(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to the student's z (B, C, h, w)."""
        return self.student.encode(images)

    def decode(self, role: str, z: Tensor, size: Sequence[int]) -> Tensor:
        """Maps one z to a role's logits (B, K, *size); the ensemble's are the mean of the teachers' logits.

        Raises:
            UserError: if there is no such role, or its logits have another number of classes.
        """
        if role not in self.roles:
            fix = "choose one of them, or give Networks its teachers"
            raise UserError(f"networks with {role}", f"some with {', '.join(self.roles)}", fix)
        if role == ENSEMBLE:
            return mean_logits([self.decode(name, z, size) for name in self.teachers])
        logits = self.by_role()[role].decode(z, size)
        if logits.shape[1] != len(self.classes):
            got, fix = f"{logits.shape[1]}", "give the classes that it was trained for"
            raise UserError(f"{len(self.classes)} logits a pixel from {role}, one a class", got, fix)
        return logits


def mean_logits(logits: Sequence[Tensor]) -> Tensor:
    """Returns the ensemble's logits: the mean of its members', added up in their order."""
    total = logits[0]
    for each in logits[1:]:
        total = total + each
    return total / len(logits)


def _names(count: int) -> list[str]:
    return ["teacher"] if count == 1 else [f"teacher{number}" for number in range(1, count + 1)]
