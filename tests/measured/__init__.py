"""What the elector promises in figures, measured: ``python -m tests.measured``"""
