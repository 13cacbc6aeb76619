"""Words for any console: Windows' cp1252 and cp437, and plain ASCII, lack ✓ and letters that the mathematics needs."""

import sys

PLAIN = {"✓": "[ok]", "✗": "[wrong]", "…": "...", "·": "-", "−": "-", "≤": "<=", "≥": ">=", "×": "x", "→": "->"}


def say(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Print. What stdout's encoding lacks is spelled out: ✓ as ``[ok]``, an unknown letter by its code."""
    try:
        print(text, end=end, flush=flush)
    except UnicodeEncodeError:
        print(spelled_out(text, sys.stdout.encoding), end=end, flush=flush)


def spelled_out(text: str, encoding: str) -> str:
    """The text in characters that the encoding has."""
    return "".join(_in(encoding, character) for character in text)


def _in(encoding: str, character: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return PLAIN.get(character) or character.encode("ascii", errors="backslashreplace").decode("ascii")
    return character
