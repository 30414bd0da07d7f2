"""The page that `uvmfree report` writes: what stands in it (one file per section), and how it becomes HTML.

=> settings -> content -> plot -> sections -> render -> page: each file uses only what stands to its left.
=> No section knows HTML, so that whatever comes from a record is escaped in one place (markup.py).
"""
