"""Adapters in one file without a configuration: those of kohya's trainer, of LyCORIS and of diffusers."""
