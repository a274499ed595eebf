"""Parameters that the back ends have in common."""

from __future__ import annotations

from typing import Annotated

from sipyard.accounting.record import LETTERS_09, LETTERS_20
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import Name


class LettersKind:
    """`log_fmt`: a letter for each thing that is recorded."""

    says = "letters of log_fmt"

    def convert(self, value: str | int, loading: Loading) -> str:
        text = str(value)
        is_old = loading.generation is Generation.SER_0_9
        known = set(LETTERS_09) if is_old else {"a", *LETTERS_20}
        for letter in text:
            if letter not in known:
                raise ArgumentError(
                    f"{letter!r} is no letter of log_fmt", f"there are {''.join(sorted(known))}"
                )
        return text

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


class AttributeNamesKind:
    """Names of attributes, by comma."""

    says = "attributes by comma, such as $f.uid,$t.did"

    def convert(self, value: str | int, loading: Loading) -> tuple[Name, ...]:
        names = (each.strip() for each in str(value).split(","))
        return tuple(Name.from_script(each, loading) for each in names if each)

    def convert_strict(self, value: object, loading: Loading) -> tuple[Name, ...]:
        return self.convert(str(value), loading)


Letters = Annotated[str, LettersKind()]
AttributeNames = Annotated[tuple[Name, ...], AttributeNamesKind()]


def mask_of(flag: int) -> int:
    """The bit of a flag that a parameter names; flag 0 means none, as in SER."""
    return 1 << flag if flag else 0
