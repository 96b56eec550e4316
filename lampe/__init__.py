"""lampe: long context in PyTorch."""
