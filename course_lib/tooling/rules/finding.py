"""What a rule says of a notebook that breaks it."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One breach of a rule."""

    rule: str
    cell: int | None  # index; None for the notebook as a whole
    message: str

    def __str__(self) -> str:
        place = "notebook" if self.cell is None else f"cell {self.cell + 1}"
        return f"{self.rule}: {place}: {self.message}"
