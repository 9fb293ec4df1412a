"""Single pictures on request: sampled, inpainted, edited."""
