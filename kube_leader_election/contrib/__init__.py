"""For programs that others wrote: each part needs one of them, and is imported by name."""
