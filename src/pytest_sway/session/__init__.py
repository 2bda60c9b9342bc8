"""The controller's side: the plan, the reports of the items, composite and gate. No numpy, no torch."""
