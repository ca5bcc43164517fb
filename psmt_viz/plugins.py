"""Objects that are found by name: the user's own, given as `module:name`, and those of a folder of modules."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from psmt_viz.errors import UserError

T = TypeVar("T")


def load_object(name: str, *, flag: str, example: str, kind: str = "name") -> Any:
    """Imports an object from a module that is installed or lies in the working directory, which is searched last.

    Args:
        name: `module:name`.
        flag: The flag that it was given to, for the errors.
        example: A name of the right form, for the errors.
        kind: What the errors call the object.

    Raises:
        UserError: if the name has another form, or the module or the object in it cannot be found.
    """
    module_name, _, object_name = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), object_name]):
        raise UserError(f"{flag} module:{kind}", repr(name), f"write it like {example}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # for good: the object may import its own helpers later
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        fix = "check the spelling, and that the module is installed or in the working directory"
        raise UserError(f"a module {module_name} for {flag} {name}", str(error), fix) from None
    except Exception as error:  # the user's own code, whatever is wrong with it
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        raise UserError(f"a module {module_name} for {flag} {name}", reason, "mend the module") from error
    found = getattr(module, object_name, None)
    if found is None:
        near = difflib.get_close_matches(object_name, vars(module), 1)
        fix = f"did you mean {module_name}:{near[0]}?" if near else "check the spelling"
        raise UserError(f"a {kind.lower()} {object_name} for {flag} {name}", f"none in {module.__file__}", fix)
    return found


def call_object(make: Callable[[], T], name: str, *, flag: str, kind: str) -> T:
    """Calls the user's function without arguments.

    Args:
        make: The function.
        name: `module:name` of it.
        flag: The flag that it was given to, for the error.
        kind: What it shall return, for the error.

    Raises:
        UserError: if it raises anything.
    """
    try:
        return make()
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        fix = f"call {name.partition(':')[2]}() in Python to see where"
        raise UserError(f"{flag} {name} to return {kind}", reason, fix) from error


def is_name(text: str) -> bool:
    """Returns whether a text has the form `module:name`, and is no path."""
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), name])


def class_in(module: ModuleType, base: type[T]) -> type[T] | None:
    """Returns the first class of a kind that a module defines itself, or None."""
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, base):
            return value
    return None
