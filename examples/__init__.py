"""Programs that show the library at work, run from the root of the project: python -m examples.NAME."""
