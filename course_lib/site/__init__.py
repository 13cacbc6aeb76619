"""The course as a book in HTML: what Sphinx reads is gathered here, words of the field lead to the glossary."""
