"""Items without interactions: generated shops with texts and pictures, and how often a list has the new item.

`shops` turns a generated shop into the rows of a log over which items appear; `embedded_catalog` adds the vectors of
texts and pictures; `arms` are the compared lists; `evaluation` measures them.
"""
