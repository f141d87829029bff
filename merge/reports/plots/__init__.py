"""Plots as SVG that stands inside a page, one kind a file.

Horizontal places are percentages and vertical ones pixels, so that a plot fills a phone as well as a wide screen while
its text keeps its size. Colours come from the page's style by class, so that light, dark and print need no other
drawing. Markup is built as a tree, which escapes the names of models.
"""
