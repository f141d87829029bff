"""Folders of several models that are one: a pipeline of diffusers, the modules of a sentence-transformer."""
