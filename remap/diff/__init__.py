"""Two weight files held against each other, tensor by tensor, without loading either."""
