"""Pure mathematics: divergences, intervals, the null's prediction, the composite score."""
