"""Mathematics without any model: divergences, intervals, predictions from a null sample, loss curves."""
