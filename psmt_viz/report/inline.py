"""What lies inside the page instead of beside it, and the policy that lets nothing else in."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from bokeh.resources import Resources
from markupsafe import Markup

_STATIC = Path(__file__).parent / "static"
# HTML ends a script at the first `</script`, whatever the script's language, and a comment opener changes its rules.
_UNSAFE = {ord(sign): rf"\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def json_text(value: Any) -> Markup:
    """Returns JSON that is safe between script tags.

    Raises:
        ValueError: if a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def data_uri(media_type: str, content: bytes) -> str:
    """Returns bytes as an address that needs no request."""
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def static(name: str) -> Markup:
    """Returns one of this package's own style sheets or scripts."""
    return Markup((_STATIC / name).read_text(encoding="utf-8"))


@cache
def bokeh_script() -> Markup:
    """Returns bokeh's core script; it draws plots on canvases, and nothing of it asks for `eval`."""
    return Markup(Resources(mode="inline", components=["bokeh"], minified=True).js_raw[0])


def content_policy(scripts: Iterable[str]) -> str:
    """Returns a Content-Security-Policy: nothing is loaded, and only these scripts run.

    Scripts are known by their hash, so that markup that slipped through the escaping could still not run anything.
    """
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    # Bokeh brings style sheets of its own to the shadow roots of its plots.
    rules = ("default-src 'none'", "img-src data: blob:", "style-src 'unsafe-inline'", f"script-src {hashes}")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))
