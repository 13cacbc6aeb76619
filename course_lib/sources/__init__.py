"""Where the course comes from: what of five documents is put right, what is taught where, and whose letter is whose.

Three tables are data, one file each: ``errata.toml``, ``concepts.toml``, ``symbols.toml``. ``tables`` reads and checks
them, ``places`` says where in the course something stands, and ``markdown`` writes them for the page of sources,
``notebooks/appendix/sources.ipynb``.
"""

from course_lib.sources.markdown import concepts_table, documents_list, errata_table, symbols_table
from course_lib.sources.places import HERE, Place, is_there
from course_lib.sources.tables import DOCUMENTS, Concept, Erratum, Symbol, concepts, errata, symbols

__all__ = [
    "DOCUMENTS",
    "HERE",
    "Concept",
    "Erratum",
    "Place",
    "Symbol",
    "concepts",
    "concepts_table",
    "documents_list",
    "errata",
    "errata_table",
    "is_there",
    "symbols",
    "symbols_table",
]
