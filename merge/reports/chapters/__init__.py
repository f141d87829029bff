"""The chapters of a report: each turns one part of the mapping into sections, and is absent where that part is."""
