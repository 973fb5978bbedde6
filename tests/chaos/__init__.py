"""Everything goes wrong at once, for minutes, and never do two lead: ``python -m tests.chaos``"""
