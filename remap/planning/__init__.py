"""The plan: for each variable its source tensors, expression and rule, from headers alone."""
