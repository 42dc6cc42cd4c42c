"""JSON as the job table takes it: no NaN, no Infinity, no number that becomes one."""

import json
import math
from typing import Any, NoReturn


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, and RecursionError for one that is nested too deep."""
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number
