"""The methods of training: what is peculiar to each of them, without torch.

Each file but `settings` is a method and has its name: a dataclass of the method's settings, which is `config.method` of
a run, and states the method's roles, loaders and measurements. Its step is in the file of the same name in
`psmt_viz.train.methods`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from psmt_viz.methods.settings import Method
from psmt_viz.plugins import class_in


def _found() -> Mapping[str, type[Method]]:
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "settings"]
    methods = {name: class_in(import_module(f"{__name__}.{name}"), Method) for name in names}
    return MappingProxyType({name: settings for name, settings in methods.items() if settings is not None})


METHODS = _found()
"""Name -> settings, of every method there is."""
