"""What each part of LaMPE is worth on one model, and three ideas beyond the paper: `python -m examples.ablation`."""
