from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from lampe.calibration import Settings


@pytest.mark.parametrize("field", ["ratio", "finest", "noise", "temperature"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_numbers_are_finite(field, value):
    with pytest.raises(ValidationError, match=rf"{field}\n  Input should be a finite number"):
        Settings(**{field: value})
