"""The course's model written and trained with other people's tools: Pyro, Lightning, and several processes.

Needs the extra: ``pip install -e '.[pyro]'``. Nothing else of the library imports this folder.
"""
