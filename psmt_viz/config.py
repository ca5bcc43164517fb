"""Every setting of a run: its groups, the method's among them, by their flat names.

A field's name is its command-line flag (`steps_per_epoch` -> `--steps-per-epoch`) and its docstring is the flag's help.
A name means one thing, in whichever groups and methods it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from psmt_viz.errors import UserError
from psmt_viz.groups import Arch, Cache, DataConfig, ModelConfig, OptimConfig, Precision, SystemConfig, ViewConfig
from psmt_viz.methods import METHODS
from psmt_viz.methods.psmt import Noise, PSMTConfig
from psmt_viz.methods.settings import Method
from psmt_viz.settings import Group, flag_of, names_of

__all__ = [
    "FIELDS",
    "GROUPS",
    "Arch",
    "Cache",
    "Config",
    "DataConfig",
    "Method",
    "MethodConfig",
    "ModelConfig",
    "Noise",
    "OptimConfig",
    "Precision",
    "SystemConfig",
    "ViewConfig",
    "fixed_settings",
]

MethodConfig = PSMTConfig
"""What the settings of PS-MT were called when it was the only method."""

GROUPS: Mapping[str, tuple[type[Group], ...]] = MappingProxyType(
    {
        "data": (DataConfig,),
        "model": (ModelConfig,),
        "views": (ViewConfig,),
        "method": tuple(METHODS.values()),
        "optim": (OptimConfig,),
        "system": (SystemConfig,),
    }
)
"""Field of `Config` -> the classes of which it is one."""

_FIRST = (
    *("method", "warmup_epochs", "warmup_steps", "epochs", "steps_per_epoch", "batch_labeled", "batch_unlabeled"),
    *("images_per_gpu", "drop_last", "loss_mean", "labeled_stream", "teacher_start", "teacher_heads", "pseudo_labels"),
    *("count_padding", "sup_loss", "ohem_threshold", "ohem_kept", "unsup_weight", "ramp", "ramp_epochs", "confidence"),
    *("assist_top", "cutmix", "perturbation", "eps", "noise", "xi", "norm_floor", "ema", "best_by"),
)
"""A method's settings in the order that config.json has had since its first version; later ones follow."""


def _named(group: str) -> list[str]:
    """The names of a group's settings, each once, in their order in help and config.json."""
    names = dict.fromkeys(name for kind in GROUPS[group] for name in names_of(kind))
    return sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


FIELDS: Mapping[str, str] = MappingProxyType({name: group for group in GROUPS for name in _named(group)})
"""Flat name of every setting -> its group; of the methods' settings, those of each of them."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run."""

    preset: str = "scenes"
    recipe: str = "supplement"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    method: Method = field(default_factory=PSMTConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    system: SystemConfig = field(default_factory=SystemConfig)

    @property
    def learning_rate(self) -> float:
        """The learning rate at the start, for this configuration's batch."""
        scale = self.method.batch_labeled / self.optim.lr_batch if self.optim.lr_batch else 1.0
        return self.optim.lr * scale

    def as_dict(self) -> dict[str, Any]:
        """Returns plain nested values for JSON."""
        nested = asdict(self)
        for group in GROUPS:
            nested[group] = {name: nested[group][name] for name in FIELDS if name in nested[group]}
        return nested

    def flat(self) -> dict[str, Any]:
        """Returns every setting by its flat name; of the methods' settings, the chosen one's."""
        return {name: getattr(getattr(self, group), name) for name, group in FIELDS.items() if self.has(name)}

    def has(self, name: str) -> bool:
        """Returns whether the chosen method has a setting; those outside the method are always there."""
        return name in names_of(getattr(self, FIELDS[name]))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds a configuration from what `as_dict` gave.

        Raises:
            UserError: if a name is unknown or a value is out of bounds.
        """
        parts = [values, *(values.get(group, {}) for group in GROUPS)] if isinstance(values, Mapping) else [values]
        if not all(isinstance(part, Mapping) for part in parts):
            raise UserError("a configuration of psmt-viz", "something else", "give the config.json of a run folder")
        flat = {name: value for group in GROUPS for name, value in values.get(group, {}).items()}
        unknown = sorted(set(values) - {"preset", "recipe", *GROUPS})
        if unknown:
            raise UserError("a configuration of psmt-viz", f"unknown entries {', '.join(unknown)}", "remove them")
        return cls(preset=values.get("preset", "scenes"), recipe=values.get("recipe", "supplement")).replace(flat)

    def replace(self, values: Mapping[str, Any]) -> Self:
        """Returns a copy with some fields changed, each given by its flat name.

        Settings that the method does not have are left aside, so that one preset serves all methods. Another `method`
        takes over what was set for the one before it, and has defaults of its own for the rest.

        Raises:
            UserError: if a name is unknown (the nearest one is named) or a value is out of bounds.
        """
        for name in values:
            if name not in FIELDS:
                near = difflib.get_close_matches(name, FIELDS, 1)
                raise UserError(
                    "a known setting", name, f"did you mean {near[0]}?" if near else "see psmt-viz train -h"
                )
        groups: dict[str, Any] = {}
        for name in GROUPS:
            current = getattr(self, name)
            kind = _method(values.get("method", current.method)) if name == "method" else type(current)
            groups[name] = kind.of({**_set_in(current, kind), **values})
        return type(self)(preset=self.preset, recipe=self.recipe, **groups)


def _method(name: Any) -> type[Method]:
    if name not in tuple(METHODS):
        flag = flag_of("method")
        raise UserError(f"{flag} one of {', '.join(METHODS)}", repr(name), f"set {flag} accordingly")
    return METHODS[name]


def _set_in(group: Group, kind: type[Group]) -> dict[str, Any]:
    """What a group hands over to one of a kind: all of it to its own, to another what is not its default."""
    if type(group) is kind:
        return dict(vars(group))
    own = {setting.name: setting.default for setting in fields(group)}  # type: ignore[arg-type]
    return {name: value for name, value in vars(group).items() if name != "method" and value != own[name]}


_NEUTRAL = (
    "workers",
    "cache",
    "accumulate",
    "compile",
    "checkpoint_steps",
    "checkpoint_minutes",
    "keep_last",
    "tensorboard",
    "log_every",
)


_PLACES = ("data", "labeled_list", "unlabeled_list", "val_list")


def fixed_settings(config: Config) -> dict[str, Any]:
    """Returns the settings on which a run's numbers depend; the others may change when it is resumed.

    The number of micro-batches, which `accumulate` and the devices decide together, is in a run's plan. Where data and
    lists lie does not count: what is in them is in the run's fingerprint.
    """
    settings = config.as_dict()
    settings["data"] = {name: value for name, value in settings["data"].items() if name not in _PLACES}
    settings["system"] = {name: value for name, value in settings["system"].items() if name not in _NEUTRAL}
    return settings
